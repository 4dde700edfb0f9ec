"""Packages: directories as zip files that are named by their content. The side of the driver.

A package is uploaded once to the cluster's key-value table, under its URI. The nodes' side is `download.py`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import os
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from ray._common.runtime_env_uri import Protocol, parse_uri
from ray._core.common.errors import RuntimeEnvSetupError
from ray._private.not_included import Absent
from ray._private.runtime_env.excludes import Rules

logger = logging.getLogger("ray")
SIZE_LIMIT = 512 * 1024 * 1024
"""Bytes of one zip. Source: Ray docs, "Environment dependencies", working_dir."""
SIZE_WARNING = 10 * 1024 * 1024
PREFIX = "_ray_pkg_"
DEFAULT_EXCLUDES = (".git", ".venv", "venv", "__pycache__")
_EARLIEST = (1980, 1, 1, 0, 0, 0)
"""Time stamps are no content: every file gets the earliest that a zip can hold."""


@dataclasses.dataclass(frozen=True, slots=True)
class File:
    """A file of a package: `name` in the zip (posix), and where it lies."""

    name: str
    path: Path


def default_excludes() -> tuple[str, ...]:
    """What is left out of every directory; RAY_OVERRIDE_RUNTIME_ENV_DEFAULT_EXCLUDES (comma-separated) replaces it."""
    given = os.environ.get("RAY_OVERRIDE_RUNTIME_ENV_DEFAULT_EXCLUDES")
    if given is None:
        return DEFAULT_EXCLUDES
    return tuple(filter(None, (each.strip() for each in given.split(","))))


def collect(
    directory: Path, excludes: Sequence[str] = (), *, keep_name: bool = False, gitignore: bool | None = None
) -> list[File]:
    """The files of a directory, sorted by name.

    Left out are what `excludes`, `.rayignore` and (unless RAY_RUNTIME_ENV_IGNORE_GITIGNORE=1) `.gitignore` name,
    each relative to the directory it is for; rules of nested ignore files hold below them.

    Args:
        keep_name: names begin with the directory's own.
        gitignore: whether `.gitignore` counts; None: as the variable says.
    """
    names = [".rayignore"]
    if os.environ.get("RAY_RUNTIME_ENV_IGNORE_GITIGNORE", "0") != "1" if gitignore is None else gitignore:
        names.append(".gitignore")
    files = list(_walk(directory, "", [("", Rules([*default_excludes(), *excludes]))], set(), names))
    prefix = f"{directory.resolve().name}/" if keep_name else ""
    return [File(prefix + name, directory / name) for name in sorted(files)]


def _walk(
    directory: Path, below: str, rules: list[tuple[str, Rules]], seen: set[Path], ignore_files: list[str]
) -> Iterator[str]:
    real = directory.resolve()
    if real in seen:
        return  # a symbolic link back up
    seen = seen | {real}
    rules = rules + [(below, own) for own in _own_rules(directory, ignore_files)]
    for entry in sorted(os.scandir(directory), key=lambda each: each.name):
        name = f"{below}{entry.name}"
        is_dir = entry.is_dir()
        if any(own.excludes(name[len(base) :], is_dir) for base, own in rules):
            continue
        if is_dir:
            yield from _walk(Path(entry.path), f"{name}/", rules, seen, ignore_files)
        elif entry.is_file():
            yield name


def _own_rules(directory: Path, ignore_files: list[str]) -> Iterator[Rules]:
    for name in ignore_files:
        file = directory / name
        if file.is_file():
            yield Rules(file.read_text(errors="replace").splitlines())


def content_hash(files: Sequence[File]) -> str:
    """16 hex digits: equal names, contents and execute bits, equal hash."""
    digest = hashlib.sha1()
    for file in files:
        with open(file.path, "rb") as stream:
            own = hashlib.file_digest(stream, "sha1").hexdigest()
        is_executable = bool(file.path.stat().st_mode & stat.S_IXUSR)
        digest.update(f"{file.name}\0{own}\0{is_executable}\n".encode())
    return digest.hexdigest()[:16]


def pack(files: Sequence[File], target: BinaryIO, limit: int | None = None) -> None:
    """Write the zip of these files. Of a file that is being packed no more than a block is in memory.

    Args:
        limit: bytes; None: `SIZE_LIMIT`.
    Raises:
        RuntimeEnvSetupError: it is larger than the limit; the text names the largest files.
    """
    limit = SIZE_LIMIT if limit is None else limit
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for file in files:
            info, status = zipfile.ZipInfo(file.name, _EARLIEST), file.path.stat()
            info.external_attr = (status.st_mode & 0xFFFF) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            info.file_size = status.st_size
            with open(file.path, "rb") as source, archive.open(info, "w") as entry:
                shutil.copyfileobj(source, entry)
            if target.tell() > limit:
                raise too_large(target.tell(), limit, files)
    if target.tell() > limit:
        raise too_large(target.tell(), limit, files)


def too_large(size: int, limit: int, files: Sequence[File]) -> RuntimeEnvSetupError:
    sizes = sorted(((file.path.stat().st_size, file.name) for file in files), reverse=True)[:5]
    largest = ", ".join(f"{name} ({_mib(each)})" for each, name in sizes)
    return RuntimeEnvSetupError(
        f"Package size ({_mib(size)}{' so far' if files else ''}) exceeds the maximum size of {_mib(limit)}. You can "
        "exclude large files using the 'excludes' option to the runtime_env, a .gitignore or a .rayignore file, or "
        "provide a remote URI of a zip file using protocols such as 's3://' or 'https://'."
        + (f" The largest files: {largest}." if largest else "")
    )


def _mib(size: int) -> str:
    return f"{size / 1024 / 1024:.2f}MiB"


# ------------------------------------------------------------------ uploading


class Store:
    """Where packages are uploaded: the cluster's key-value table.

    Args:
        exists: whether there is a value under a URI.
        put: stores what a file gives from its position on, bit by bit: a package may be larger than what is free.
    """

    def __init__(self, exists: Callable[[str], bool], put: Callable[[str, BinaryIO], None]) -> None:
        self.exists = exists
        self.put = put


def upload_directory(store: Store, directory: Path, excludes: Sequence[str] = (), *, keep_name: bool = False) -> str:
    """Make the package of a directory available to the cluster; returns its URI.

    Raises:
        RuntimeEnvSetupError: it is too large, or the upload failed.
    """
    files = collect(directory, excludes, keep_name=keep_name)
    uri = f"gcs://{PREFIX}{content_hash(files)}.zip"
    _upload(store, uri, lambda: _packed(files), str(directory))
    return uri


def upload_file(store: Store, file: Path, *, as_module: bool = False) -> str:
    """The same for an archive or a wheel, which is uploaded as it is, or (`as_module`) for one file of Python."""
    if as_module:
        files = [File(file.name, file)]
        uri = f"gcs://{PREFIX}{content_hash(files)}.zip"
        _upload(store, uri, lambda: _packed(files), str(file))
        return uri
    size = file.stat().st_size
    if size > SIZE_LIMIT:
        raise too_large(size, SIZE_LIMIT, [])
    with open(file, "rb") as stream:
        digest = hashlib.file_digest(stream, "sha1").hexdigest()[:16]
    ending = next(each for each in (".whl", ".zip", ".tar.gz", ".tgz", ".tar.xz") if file.name.lower().endswith(each))
    uri = f"gcs://{PREFIX}{digest}/{file.name}" if ending == ".whl" else f"gcs://{PREFIX}{digest}{ending}"
    _upload(store, uri, lambda: open(file, "rb"), str(file))  # noqa: SIM115 - `_upload` closes it
    return uri


def _packed(files: Sequence[File]) -> BinaryIO:
    """Their zip, in a file that has no name and is gone once it is closed."""
    target = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    try:
        pack(files, target)
        target.seek(0)
    except BaseException:
        target.close()
        raise
    return target


def _upload(store: Store, uri: str, content: Callable[[], BinaryIO], what: str) -> None:
    try:
        if store.exists(uri):
            return
        with content() as package:
            _push(store, uri, package, what)
    except RuntimeEnvSetupError as error:
        raise RuntimeEnvSetupError(f"Failed to upload {what} to the Ray cluster: {error.error_message}") from None
    except Exception as error:
        raise RuntimeEnvSetupError(f"Failed to upload {what} to the Ray cluster: {error}") from error


def _push(store: Store, uri: str, package: BinaryIO, what: str) -> None:
    size = os.fstat(package.fileno()).st_size
    if size > SIZE_WARNING:
        logger.warning(
            "Uploading %s (%s) to the cluster. Leave out what it does not need, by 'excludes' or .gitignore.",
            what,
            _mib(size),
        )
    logger.info("Pushing file package '%s' (%s) to Ray cluster...", uri, _mib(size))
    store.put(uri, package)
    logger.info("Successfully pushed file package '%s'.", uri)


# ------------------------------------------------------------------ names that tests import

GCS_STORAGE_MAX_SIZE = SIZE_LIMIT
FILE_SIZE_WARNING = SIZE_WARNING
RAY_PKG_PREFIX = PREFIX


def get_uri_for_directory(directory: str, include_gitignore: bool = True, excludes: Sequence[str] | None = None) -> str:
    """The URI of the package of a directory.

    Raises:
        ValueError: there is no such directory.
    """
    path = Path(directory).absolute()
    if not path.is_dir():
        raise ValueError(f"directory {str(path)!r} must be an existing directory")
    return f"gcs://{PREFIX}{content_hash(collect(path, excludes or (), gitignore=include_gitignore))}.zip"


def get_uri_for_file(file: str) -> str:
    """The URI of the package of one file of Python. Raises ValueError when there is none."""
    path = Path(file).absolute()
    if not path.is_file():
        raise ValueError(f"file {str(path)!r} must be an existing file")
    return f"gcs://{PREFIX}{content_hash([File(path.name, path)])}.zip"


_ABSENT = ("_dir_travel", "_get_excludes", "_hash_directory", "_zip_files", "get_excludes_from_ignore_files")


def __getattr__(name: str) -> Any:
    from ray._private.runtime_env import package_functions  # it imports this module

    if hasattr(package_functions, name):
        return getattr(package_functions, name)
    if name in _ABSENT:
        return Absent(f"{__name__}.{name}", "See `collect` and `pack` there.")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["Protocol", "parse_uri"]
