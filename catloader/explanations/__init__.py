"""Explanations of decisions (Grad-CAM), made on request by a child process and kept in S3."""
