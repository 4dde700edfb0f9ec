"""Paths and URIs."""

import urllib.parse


def is_path(path_or_uri: str) -> bool:
    """Whether this is a path of a file system, and no URI. Raises TypeError for anything but text."""
    if not isinstance(path_or_uri, str):
        raise TypeError(f" path_or_uri must be a string, got {type(path_or_uri)}.")
    return not urllib.parse.urlparse(path_or_uri).scheme
