"""Outgoing webhooks: each verdict, of a checker or a reviewer, is told to an address of the operator's (https://www.standardwebhooks.com)."""
