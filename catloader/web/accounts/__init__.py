"""Pages of the account: sign-up, log-in, second step, settings and receipts."""
