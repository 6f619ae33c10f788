"""Handle untrusted bytes in child processes with limits on processor time, wall-clock time, memory and files.

``pool`` runs in the calling process, ``child`` in the child processes; ``frames`` are the messages between
them.
"""
