"""Names and places of spilled objects, as tests read them. What spills is `ray._core.raylet.external_storage`."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from ray._private.not_included import Absent
from ray._private.ray_constants import DEFAULT_OBJECT_PREFIX

_BY_SETTINGS = "Where objects are spilled is told by settings, see object_spilling_config."
ExternalStorage = Absent("ray._private.external_storage.ExternalStorage", _BY_SETTINGS)
FileSystemStorage = Absent("ray._private.external_storage.FileSystemStorage", _BY_SETTINGS)
ExternalStorageSmartOpenImpl = Absent("ray._private.external_storage.ExternalStorageSmartOpenImpl", _BY_SETTINGS)
_get_unique_spill_filename = Absent("ray._private.external_storage._get_unique_spill_filename", _BY_SETTINGS)


class ParsedURL(NamedTuple):
    base_url: str
    offset: int
    size: int


def create_url_with_offset(*, url: str, offset: int, size: int) -> str:
    """Where in a file that holds several objects one of them lies."""
    return f"{url}?offset={offset}&size={size}"


def parse_url_with_offset(url_with_offset: str) -> ParsedURL:
    """The inverse. ValueError for a URL without these parts."""
    parts = urlsplit(url_with_offset)
    query = parse_qs(parts.query)
    if not {"offset", "size"} <= set(query):
        raise ValueError(f"Failed to parse URL: {url_with_offset}")
    base = url_with_offset.partition("?")[0]
    return ParsedURL(base, int(query["offset"][0]), int(query["size"][0]))


__all__ = ["DEFAULT_OBJECT_PREFIX", "ParsedURL", "create_url_with_offset", "parse_url_with_offset"]
