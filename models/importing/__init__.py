"""Weights that come in another form than the catalogue's: read, converted, compared, and put beside the rest.

Nothing here is imported where photos are checked.
"""
