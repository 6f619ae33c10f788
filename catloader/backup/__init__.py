"""Backups: the folder of one (``folder``), ``save`` and ``restore``."""
