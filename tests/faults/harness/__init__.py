"""Processes that can be killed at named points, a client that notes what it was promised, the audit."""
