"""One kind of fault per file: each function takes a folder and counts, and returns its findings."""
