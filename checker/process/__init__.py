"""The Python process itself: its exit, Ctrl-C, garbage collection, cores, child interpreters."""
