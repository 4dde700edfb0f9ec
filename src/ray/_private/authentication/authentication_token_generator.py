"""New tokens."""

import secrets


def generate_new_authentication_token() -> str:
    """64 hexadecimal digits at random."""
    return secrets.token_hex(32)
