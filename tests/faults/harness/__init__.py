"""Processes that die at named points, a client that records acknowledged photos, and the audit."""
