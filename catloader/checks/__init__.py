"""Step 4 and the commands around checks: dispatch, signed wake-ups, replays, model promotion."""
