"""Processes that can be killed at named points, a client that records acknowledged photos, and the audit."""
