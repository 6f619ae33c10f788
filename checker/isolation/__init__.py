"""Untrusted bytes in child processes with limits: processor time, time, memory, files.

``pool`` is the side of the caller, ``child`` the side of the processes, ``frames`` what goes between them.
"""
