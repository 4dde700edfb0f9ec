"""URIs of packages: which schemes and endings there are. Pure.

Source: Ray docs, "Environment dependencies", "Remote URIs".
"""

from __future__ import annotations

import enum
import hashlib
import re

ARCHIVES = (".zip", ".tar.gz", ".tgz", ".tar.xz")
MODULE_FILES = (".whl", ".zip", ".tar.gz", ".tgz", ".tar.xz")


class Protocol(enum.StrEnum):
    """The scheme of a URI: where a package lies, or what a URI stands for (pip, conda, …)."""

    GCS = "gcs"
    CONDA = "conda"
    PIP = "pip"
    UV = "uv"
    HTTP = "http"
    HTTPS = "https"
    S3 = "s3"
    GS = "gs"
    AZURE = "azure"
    ABFSS = "abfss"
    FILE = "file"
    LOCAL = "local"


REMOTE = (Protocol.HTTP, Protocol.HTTPS, Protocol.S3, Protocol.GS, Protocol.AZURE, Protocol.ABFSS, Protocol.FILE)
_SCHEMES = {protocol.value for protocol in Protocol}


def is_uri(text: str) -> bool:
    """Whether `text` has a scheme that we know."""
    scheme, separator, _ = text.partition("://")
    return bool(separator) and scheme in _SCHEMES


def has_scheme(text: str) -> bool:
    return "://" in text


def is_archive(name: str) -> bool:
    return name.lower().endswith(ARCHIVES)


def package_name(uri: str) -> str:
    """The file name under which a node keeps the package of `uri`.

    gcs URIs name their content already; others get a name made of the whole URI, so that two files `a.zip` of
    different hosts do not meet. The ending stays, since it says how to unpack. A wheel keeps its whole name,
    as pip reads it: its URI's hash becomes a directory.
    """
    scheme, _, rest = uri.partition("://")
    last = rest.rsplit("/", 1)[-1]
    if last.endswith(".whl"):
        return last
    if scheme == Protocol.GCS:
        return last
    ending = next((each for each in MODULE_FILES if last.lower().endswith(each)), "")
    readable = re.sub(r"[^A-Za-z0-9]+", "_", f"{scheme}_{rest[: len(rest) - len(ending)]}")[-80:]
    return f"{readable}_{hashlib.sha1(uri.encode()).hexdigest()[:16]}{ending}"


def directory_name(uri: str) -> str:
    """The directory under which a node keeps the unpacked package of `uri`."""
    name = package_name(uri)
    if name.endswith(".whl"):
        return f"{name[:-4]}_{hashlib.sha1(uri.encode()).hexdigest()[:16]}"
    ending = next((each for each in ARCHIVES if name.lower().endswith(each)), "")
    return name[: len(name) - len(ending)]
