"""Make ``python scripts/NAME.py`` work like ``python -m scripts.NAME``, without an installation.

A script that is started by its path has its own folder as the first import path, so ``import scripts`` finds
this file. It replaces that path by the checkout and itself by the package of the same name. Therefore the
first import of every script is one from ``scripts``.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])
del sys.modules[__name__]
importlib.import_module(__name__)
