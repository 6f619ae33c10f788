"""The current Python process: its exit, Ctrl-C, garbage collection, cores, child interpreters."""
