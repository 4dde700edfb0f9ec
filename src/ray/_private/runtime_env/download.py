"""Packages on a node: fetched by URI and unpacked once. The side of the agent."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import tarfile
import tempfile
import urllib.request
import zipfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from ray._core.common.packages import part_keys
from ray._private.runtime_env import uris
from ray._private.runtime_env.uris import Protocol

Fetch = Callable[[str], Awaitable[bytes | None]]
"""Gives the value of a key in the cluster's key-value table."""


async def fetch_package(uri: str, base: Path, fetch: Fetch, logger: logging.Logger) -> Path:
    """Have the package of `uri` unpacked below `base`; returns its directory. A wheel is left as it is in there.

    Raises:
        RuntimeError: it is not where the URI says.
        OSError: the download failed.
        ValueError: it is no archive, or one that would write outside of its directory.
    """
    if uri.startswith(f"{Protocol.LOCAL}://"):
        return Path(uri.partition("://")[2])
    target = base / uris.directory_name(uri)
    if target.exists():
        return target
    base.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=base, prefix=".partial-") as partial:
        file = Path(partial) / uris.package_name(uri)
        logger.info("Fetching package %s.", uri)
        await _download(uri, file, fetch)
        content = Path(partial) / "content"
        await asyncio.to_thread(_unpack, file, content, not uri.startswith("gcs://"))
        try:
            content.rename(target)
        except OSError:
            if not target.exists():  # else somebody on this machine was faster
                raise
    return target


async def _download(uri: str, file: Path, fetch: Fetch) -> None:
    scheme, _, rest = uri.partition("://")
    match scheme:
        case Protocol.GCS:
            data = await fetch(uri)
            if data is None:
                raise RuntimeError(
                    f"Failed to download runtime_env file package {uri} from the GCS to the Ray worker node. "
                    "The package may have been deleted, since the job that uploaded it has ended, or was never there."
                )
            keys = part_keys(uri, data)
            with open(file, "wb") as target:
                if not keys:
                    await asyncio.to_thread(target.write, data)
                for key in keys:
                    if (part := await fetch(key)) is None:
                        raise RuntimeError(f"The runtime_env package {uri} was deleted while it was being fetched.")
                    await asyncio.to_thread(target.write, part)
        case Protocol.FILE:
            await asyncio.to_thread(shutil.copyfile, rest, file)
        case Protocol.HTTP | Protocol.HTTPS:
            await asyncio.to_thread(_download_http, uri, file)
        case _:
            await asyncio.to_thread(_download_remote, uri, file)


def _download_http(uri: str, file: Path) -> None:
    with urllib.request.urlopen(uri, timeout=60) as response, open(file, "wb") as target:
        shutil.copyfileobj(response, target)


def _download_remote(uri: str, file: Path) -> None:
    scheme = uri.partition("://")[0]
    try:
        from smart_open import open as open_remote
    except ImportError as error:
        raise ImportError(
            f"To fetch {uri}, the nodes need `pip install smart_open[{scheme}]` (S3 also boto3)."
        ) from error
    with open_remote(uri.replace("abfss://", "azure://", 1), "rb") as source, open(file, "wb") as target:
        shutil.copyfileobj(source, target)


# ------------------------------------------------------------------ unpacking


def _unpack(file: Path, target: Path, strip: bool) -> None:
    """Unpack by the file's ending. `strip`: leave out a single top-level directory, as archives of forges have it."""
    target.mkdir()
    name = file.name.lower()
    if name.endswith(".whl"):
        file.rename(target / file.name)
        return
    if name.endswith(".zip"):
        unzip(file, target)
    elif name.endswith((".tar.gz", ".tgz", ".tar.xz")):
        with tarfile.open(file) as archive:
            archive.extractall(target, filter="data")  # refuses what lies outside
    else:
        raise ValueError(f"{file.name} is no archive that can be unpacked ({', '.join(uris.ARCHIVES)}).")
    if strip:
        _strip_top(target)


def unzip(file: Path, target: Path) -> None:
    """Raises ValueError for an archive that would write outside of `target`."""
    root = target.resolve()
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            place = (target / info.filename).resolve()
            if not place.is_relative_to(root):
                raise ValueError(f"The archive {file.name} would write outside of its directory: {info.filename}")
            archive.extract(info, target)
            mode = (info.external_attr >> 16) & 0o777
            if mode and not info.is_dir():
                place.chmod(mode | 0o600)


def _strip_top(target: Path) -> None:
    inside = [each for each in target.iterdir() if each.name != "__MACOSX"]
    if len(inside) != 1 or not inside[0].is_dir():
        return
    top = inside[0].rename(target.with_name("top"))
    shutil.rmtree(target)
    top.rename(target)


def size_of(directory: Path) -> int:
    """Bytes of all files below."""
    return sum(
        os.lstat(os.path.join(parent, name)).st_size for parent, _, names in os.walk(directory) for name in names
    )


def remove(directory: Path) -> int:
    """Delete a directory; returns how many bytes became free. One that is not there is none."""
    if not directory.exists():
        return 0
    size = size_of(directory)
    shutil.rmtree(directory, ignore_errors=True)
    return size
