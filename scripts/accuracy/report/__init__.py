"""The results of the accuracy benchmark for people: text for a terminal, an HTML page, a CSV file."""
