"""The schemes of URIs, at the place where Ray 2.60 has them."""

from ray._private.runtime_env.uris import Protocol

__all__ = ["Protocol"]
