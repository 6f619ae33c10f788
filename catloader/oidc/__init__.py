"""Log-in through an OpenID Connect provider: the protocol, and the accounts of its users."""
