"""Make ``python scripts/NAME.py`` work like ``python -m scripts.NAME``, without an installation.

Started by its path, a script has its own folder as the first import path: ``import scripts`` finds this file.
It puts the checkout there instead and loads the package of the same name in its own place. So the first
import of every script is one from ``scripts``.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])
del sys.modules[__name__]
importlib.import_module(__name__)
