"""``catloader bulk``, and the commands that may run as it does."""
