"""Import weights in another format than the catalogue's: read, convert, compare and store them.

Processes that check photos load none of these modules.
"""
