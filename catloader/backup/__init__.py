"""Backups: the layout of a backup folder (``folder``), ``save`` and ``restore``."""
