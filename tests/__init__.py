"""The tests. Python imports this module before any test module, and before numpy."""

import os

# Several processes run the tests on two cores, and start sites and checkers. The threads of OpenBLAS and
# OpenMP spin while they wait for each other, and so take the core away from the thread that they wait for.
# With other programs running, a forward pass of two torch threads then costs four times as much processor
# time.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
