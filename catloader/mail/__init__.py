"""Mails of the site: their texts, the queue with the thread that sends them, and the SMTP client."""
