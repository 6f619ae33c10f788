"""Select the variant that serves: the machine runs it, it was measured, and it passes its self-test."""
