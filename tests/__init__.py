"""The tests; this module is imported before any of them, and before numpy."""

import os

# Two processes share the tests, and both start sites and checkers. OpenBLAS's threads wait for each other by
# spinning: of more than one thread, most of the processor time is spent on that.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
