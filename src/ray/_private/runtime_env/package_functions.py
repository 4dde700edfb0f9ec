"""Packages by the functions that Ray 2.60 has for them, for programs and tests that import those.

`packaging` (the driver's side) and `download` (the nodes') do the work. Functions that talk to the cluster's key-value
table need a connected process.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ray._common.runtime_env_uri import Protocol, parse_uri
from ray._private.runtime_env import download, packaging, uris
from ray._private.runtime_env.commands import run
from ray._private.runtime_env.packaging import PREFIX, SIZE_LIMIT

MAC_OS_ZIP_HIDDEN_DIR_NAME = "__MACOSX"
RAY_RUNTIME_ENV_FAIL_UPLOAD_FOR_TESTING_ENV_VAR = "RAY_RUNTIME_ENV_FAIL_UPLOAD_FOR_TESTING"
_log = logging.getLogger("ray")


def is_whl_uri(uri: str) -> bool:
    return _has_ending(uri, ".whl")


def is_zip_uri(uri: str) -> bool:
    return _has_ending(uri, ".zip")


def is_jar_uri(uri: str) -> bool:
    return _has_ending(uri, ".jar")


def _has_ending(uri: str, ending: str) -> bool:
    """Raises ValueError for a scheme that is not known."""
    parse_uri(uri)
    return uri.endswith(ending)


def get_uri_for_package(package: Path) -> str:
    """The URI of an archive by its content, or of a wheel by its name."""
    if package.suffix == ".whl":
        return f"{Protocol.GCS}://{package.name}"
    with open(package, "rb") as file:
        return f"{Protocol.GCS}://{PREFIX}{hashlib.file_digest(file, 'sha1').hexdigest()}.zip"


def get_local_dir_from_uri(uri: str, base_directory: str) -> Path:
    """Where below `base_directory` a node unpacks the package."""
    return Path(base_directory) / uris.directory_name(uri)


# ------------------------------------------------------------------ making and storing


def create_package(
    module_path: str,
    target_path: Path,
    include_gitignore: bool,
    include_parent_dir: bool = False,
    excludes: Sequence[str] | None = None,
    logger: logging.Logger | None = None,
) -> None:
    """Write the zip of a directory or file to `target_path`, unless it is there."""
    if target_path.exists():
        return
    source = Path(module_path).absolute()
    files = [packaging.File(source.name, source)]
    if source.is_dir():
        files = packaging.collect(source, excludes or (), keep_name=include_parent_dir, gitignore=include_gitignore)
    with open(target_path, "wb") as target:
        packaging.pack(files, target)


def package_exists(pkg_uri: str) -> bool:
    """Whether the key-value table has it. Raises NotImplementedError for a package that lies elsewhere."""
    from ray.experimental.internal_kv import _internal_kv_exists

    if parse_uri(pkg_uri)[0] is not Protocol.GCS:
        raise NotImplementedError(f"Protocol {parse_uri(pkg_uri)[0]} is not supported")
    return _internal_kv_exists(pkg_uri.encode())


def upload_package_to_gcs(pkg_uri: str, pkg_bytes: bytes) -> None:
    """Raises RuntimeError for the URI of a package that lies elsewhere, or when the cluster does not take it."""
    protocol = parse_uri(pkg_uri)[0]
    if protocol in uris.REMOTE:
        raise RuntimeError("upload_package_to_gcs should not be called with a remote path.")
    if protocol is not Protocol.GCS:
        raise NotImplementedError(f"Protocol {protocol} is not supported")
    _store_package_in_gcs(pkg_uri, pkg_bytes)


def _store_package_in_gcs(pkg_uri: str, data: bytes, logger: logging.Logger | None = None) -> int:
    """Returns its size in bytes. Raises ValueError for one that is too large, RuntimeError when it is not taken."""
    from ray.experimental.internal_kv import _internal_kv_put

    size = packaging._mib(len(data))
    if len(data) >= SIZE_LIMIT:
        raise ValueError(str(packaging.too_large(len(data), SIZE_LIMIT, [])))
    if os.environ.get(RAY_RUNTIME_ENV_FAIL_UPLOAD_FOR_TESTING_ENV_VAR) == "1":
        raise RuntimeError("Simulating failure to upload package for testing purposes.")
    try:
        _internal_kv_put(pkg_uri.encode(), data)
    except Exception as error:
        raise RuntimeError(
            f"Failed to store package in the GCS.\n  - GCS URI: {pkg_uri}\n"
            f"  - Package data ({size}): {data[:15]!r}...\n"
        ) from error
    return len(data)


def upload_package_if_needed(
    pkg_uri: str,
    base_directory: str,
    module_path: str,
    include_gitignore: bool,
    include_parent_dir: bool = False,
    excludes: Sequence[str] | None = None,
    logger: logging.Logger | None = None,
) -> bool:
    """Upload the package of a directory under this URI, by way of a file in `base_directory`; False: it was there."""
    if package_exists(pkg_uri):
        return False
    package = Path(base_directory) / parse_uri(pkg_uri)[1]
    create_package(module_path, package, include_gitignore, include_parent_dir, excludes)
    try:
        upload_package_to_gcs(pkg_uri, package.read_bytes())
    finally:
        package.unlink()
    return True


# ------------------------------------------------------------------ on a node


async def download_and_unpack_package(
    pkg_uri: str,
    base_directory: str,
    gcs_client: Any = None,
    logger: logging.Logger | None = None,
    overwrite: bool = False,
) -> str:
    """Have the package unpacked below `base_directory`; its directory. `overwrite`: again, if it is there.

    Raises:
        OSError, RuntimeError, ValueError: see `download.fetch_package`.
    """
    from ray.experimental.internal_kv import _internal_kv_get

    async def fetch(key: str) -> bytes | None:
        if gcs_client is not None:
            found: bytes | None = await gcs_client.async_internal_kv_get(key.encode(), None, None)
            return found
        return _internal_kv_get(key.encode())

    base = Path(base_directory)
    if overwrite:
        download.remove(get_local_dir_from_uri(pkg_uri, base_directory))
    return str(await download.fetch_package(pkg_uri, base, fetch, logger or _log))


def get_top_level_dir_from_compressed_package(package_path: str) -> str | None:
    """The name of the one directory that all else in the archive lies in; None if there is none such."""
    if zipfile.is_zipfile(package_path):
        with zipfile.ZipFile(package_path) as archive:
            names = [(info.filename, info.is_dir()) for info in archive.infolist()]
    else:
        with tarfile.open(package_path) as tar:
            names = [(member.name, member.isdir()) for member in tar.getmembers()]
    tops = {name.strip("/").partition("/")[0] for name, _ in names} - {MAC_OS_ZIP_HIDDEN_DIR_NAME}
    if len(tops) != 1:
        return None
    [top] = tops
    is_file = any(name.strip("/") == top and not is_dir for name, is_dir in names)
    return None if is_file else top


def remove_dir_from_filepaths(base_dir: str, rdir: str) -> None:
    """Move what lies in the directory `rdir` of `base_dir` up into `base_dir`."""
    base = Path(base_dir)
    inner = (base / rdir).rename(base / f".{rdir}.moving")
    for entry in list(inner.iterdir()):
        shutil.move(str(entry), base / entry.name)
    inner.rmdir()


def unzip_package(
    package_path: str,
    target_dir: str,
    remove_top_level_directory: bool,
    unlink_zip: bool,
    logger: logging.Logger | None = None,
) -> None:
    """Unpack a zip. `remove_top_level_directory`: leave a single directory out that all else lies in."""
    target = Path(target_dir)
    target.mkdir(parents=True, exist_ok=True)
    download.unzip(Path(package_path), target)
    _finish(package_path, target, remove_top_level_directory, unlink_zip)


def untar_package(
    package_path: str,
    target_dir: str,
    remove_top_level_directory: bool,
    unlink_tar: bool,
    logger: logging.Logger | None = None,
) -> None:
    """As `unzip_package`, of a tar archive."""
    target = Path(target_dir)
    target.mkdir(parents=True, exist_ok=True)
    with tarfile.open(package_path) as archive:
        archive.extractall(target, filter="data")
    _finish(package_path, target, remove_top_level_directory, unlink_tar)


def _finish(package_path: str, target: Path, remove_top: bool, unlink: bool) -> None:
    top = get_top_level_dir_from_compressed_package(package_path) if remove_top else None
    if top is not None:
        shutil.rmtree(target / MAC_OS_ZIP_HIDDEN_DIR_NAME, ignore_errors=True)
        remove_dir_from_filepaths(str(target), top)
    if unlink:
        Path(package_path).unlink()


def delete_package(pkg_uri: str, base_directory: str) -> tuple[bool, int]:
    """Delete the unpacked package; whether it was there, and how many bytes became free."""
    place = get_local_dir_from_uri(pkg_uri, base_directory)
    was_there = place.exists()
    return was_there, download.remove(place)


async def install_wheel_package(wheel_uri: str, target_dir: str, logger: logging.Logger | None = None) -> None:
    """Install a wheel, a file, into a directory, and delete the file. Raises RuntimeError when pip fails."""
    await run([sys.executable, "-m", "pip", "install", wheel_uri, "--target", target_dir], logger or _log)
    Path(wheel_uri).unlink(missing_ok=True)
