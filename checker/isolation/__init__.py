"""Untrusted bytes in child processes with limits: processor time, wall-clock time, memory, files.

``pool`` is the caller's side, ``child`` the side of the child processes, ``frames`` the messages between
them.
"""
