"""The queue of photos to check, the check log, and what decides how photos are checked."""
