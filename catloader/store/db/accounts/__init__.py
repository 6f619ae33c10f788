"""Rows of accounts: log-in, sessions, tokens, quotas and receipts."""
