"""One kind of fault a file: each function takes a folder and counts, and returns what was found."""
