"""Measure models and fit profiles: shared by calibration and the benchmarks."""
