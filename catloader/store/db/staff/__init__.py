"""Rows of reviewers and administrators: decisions, audits and the audit log."""
