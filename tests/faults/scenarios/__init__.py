"""One kind of fault per file. Each function takes a folder and counts, and returns ``Figures``."""
