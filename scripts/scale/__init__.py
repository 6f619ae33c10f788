"""The parts of ``benchmark_scale.py``."""
