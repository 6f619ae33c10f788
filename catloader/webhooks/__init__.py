"""Outgoing webhooks: each verdict is told to an address of the operator's (https://www.standardwebhooks.com)."""
