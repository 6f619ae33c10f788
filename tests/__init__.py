"""The tests; this module is imported before any of them, and before numpy."""

import os

# Three processes on two cores run the tests, and start sites and checkers. The threads of OpenBLAS and OpenMP
# wait for each other by spinning, which takes the processor from the thread that they wait for: beside other
# programs, a pass of two torch threads then costs four times as much processor time.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
