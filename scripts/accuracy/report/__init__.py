"""Reports of the accuracy benchmark's results: text for a terminal, an HTML page, a CSV file."""
