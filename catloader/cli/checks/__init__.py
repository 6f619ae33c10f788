"""``catloader check``, and the processes that check."""
