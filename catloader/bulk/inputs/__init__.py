"""Photos that do not come from the table: labelled folders, files, objects below a prefix."""
