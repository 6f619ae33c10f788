"""Log-in through a provider (OpenID Connect): the protocol, and the account that belongs to an identity."""
