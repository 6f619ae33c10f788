"""``catloader bulk``, and the commands that can run in bulk."""
