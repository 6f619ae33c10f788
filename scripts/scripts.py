"""Make ``python scripts/NAME.py`` work like ``python -m scripts.NAME``, without an installation.

When a script is started by its path, its folder is the first import path, so ``import scripts`` finds this
module. The module replaces that path by the checkout, and itself by the package of the same name. Therefore
the first import in every script must be from ``scripts``.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])
del sys.modules[__name__]
importlib.import_module(__name__)
