"""Write ``docs/settings.md``: run ``python -m catloader.settings`` in the checkout."""

from __future__ import annotations

from pathlib import Path

from catloader.settings.page import as_markdown

Path("docs/settings.md").write_text(as_markdown(), "utf-8")
