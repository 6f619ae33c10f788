"""Heat maps of decisions, made on request by a child process and kept in S3."""
