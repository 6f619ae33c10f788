"""Requests and responses: cookies, forms, proxies, errors and headers."""
