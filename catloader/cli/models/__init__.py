"""``catloader models``."""
