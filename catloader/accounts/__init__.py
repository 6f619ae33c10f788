"""Accounts without Flask: log-in and its limits, passwords, second step, passkeys, API tokens, export."""
