"""URIs of packages, as tests read them."""

from __future__ import annotations

from ray._private.runtime_env.uris import Protocol, is_uri, package_name


def parse_uri(pkg_uri: str) -> tuple[Protocol, str]:
    """The scheme, and the file name under which nodes keep the package.

    Raises:
        ValueError: a scheme that is not known.
    """
    if not is_uri(pkg_uri):
        scheme = pkg_uri.partition("://")[0]
        raise ValueError(f"Invalid protocol for runtime_env URI {pkg_uri!r}. {scheme!r} is none of {[*Protocol]}.")
    return Protocol(pkg_uri.partition("://")[0]), package_name(pkg_uri)


__all__ = ["Protocol", "parse_uri"]
