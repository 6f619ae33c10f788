"""Outgoing webhooks (https://www.standardwebhooks.com): each verdict is sent to the operator's address."""
