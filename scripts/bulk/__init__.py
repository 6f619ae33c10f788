"""Parts of ``scripts/benchmark_bulk.py``."""
