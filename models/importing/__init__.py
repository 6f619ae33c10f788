"""Import of weights in another format than the catalogue's: read, converted, compared and stored.

None of these modules is loaded by processes that check photos.
"""
