"""The queue of photos to check, the check log, and the choices of models and thresholds."""
