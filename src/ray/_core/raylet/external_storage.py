"""Where spilled objects go: local directories, or whatever fsspec or smart_open can reach.

Floor: raylet, shell. All calls block and may run on several threads at once; they move raw bytes and know nothing of
what these mean.
Source: Ray docs, "Object Spilling": `object_spilling_config`.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ray._core.raylet import leftovers
from ray._core.raylet.spill_table import Url


class ExternalStorage(Protocol):
    def spill(self, objects: Mapping[bytes, memoryview]) -> dict[bytes, Url]:
        """Write all into one new file. Raises OSError; then nothing of it stays."""

    def restore(self, url: Url, target: memoryview, start: int = 0) -> None:
        """Fill `target` from the object, from its byte `start` on. Raises OSError."""

    def delete(self, path: str) -> None:
        """Forget a file; one that has gone already is fine."""

    def destroy(self) -> None:
        """Forget everything that this node has spilled."""


class FileStorage:
    """Files in local directories, taken in turn."""

    def __init__(self, directories: Sequence[str], node_id: str) -> None:
        self.parents = list(directories)
        self.directories = [os.path.join(each, leftovers.SPILLED + node_id) for each in directories]
        self._numbers = itertools.count()
        self._locks: dict[str, int] = {}
        self._making = threading.Lock()

    def validate(self) -> None:
        """Raises OSError when a directory cannot be written to."""
        for directory in self.directories:
            self._make(directory)
            probe = os.path.join(directory, ".probe")
            with open(probe, "wb") as file:
                file.write(b"?")
            os.unlink(probe)

    def _make(self, directory: str) -> None:
        with self._making:
            os.makedirs(directory, mode=0o700, exist_ok=True)
            if directory not in self._locks:
                self._locks[directory] = leftovers.lock(directory)

    def spill(self, objects: Mapping[bytes, memoryview]) -> dict[bytes, Url]:
        number = next(self._numbers)
        directory = self.directories[number % len(self.directories)]
        self._make(directory)
        path = os.path.join(directory, f"{number:08d}-{len(objects)}")
        urls, position = {}, 0
        try:
            with open(path, "xb", buffering=0) as file:
                for object_id, data in objects.items():
                    _write_all(file.fileno(), data)
                    urls[object_id] = Url(path, position, data.nbytes)
                    position += data.nbytes
        except BaseException:
            self.delete(path)
            raise
        return urls

    def restore(self, url: Url, target: memoryview, start: int = 0) -> None:
        with open(url.path, "rb", buffering=0) as file:
            file.seek(url.offset + start)
            done = 0
            while done < target.nbytes:
                count = file.readinto(target[done:])
                if not count:
                    raise OSError(f"{url} ends after {start + done} bytes.")
                done += count

    def delete(self, path: str) -> None:
        try:
            os.unlink(path)
        except FileNotFoundError:
            return

    def destroy(self) -> None:
        for directory in self.directories:
            shutil.rmtree(directory, ignore_errors=True)
        while self._locks:
            os.close(self._locks.popitem()[1])


class UnstableFileStorage(FileStorage):
    """One write in ten fails, as on a bad disk: for tests of programs that spill."""

    failure_rate = 0.1

    def spill(self, objects: Mapping[bytes, memoryview]) -> dict[bytes, Url]:
        if random.random() < self.failure_rate:
            raise OSError("Spilling object failed: the storage is of the type unstable_fs.")
        return super().spill(objects)


class SlowFileStorage(FileStorage):
    """Writes and reads up to a second late, as over a busy network: for tests of programs that spill."""

    max_delay_s = 1.0

    def spill(self, objects: Mapping[bytes, memoryview]) -> dict[bytes, Url]:
        time.sleep(random.uniform(0, self.max_delay_s))
        return super().spill(objects)

    def restore(self, url: Url, target: memoryview, start: int = 0) -> None:
        time.sleep(random.uniform(0, self.max_delay_s))
        super().restore(url, target, start)


FILE_STORAGES: dict[str, type[FileStorage]] = {
    "filesystem": FileStorage,
    "mock_distributed_fs": FileStorage,
    "unstable_fs": UnstableFileStorage,
    "slow_fs": SlowFileStorage,
}


def _write_all(descriptor: int, data: memoryview) -> None:
    while data.nbytes:
        data = data[os.write(descriptor, data) :]


class RemoteStorage:
    """Files under URIs, through smart_open where it is installed, else fsspec; taken in turn."""

    def __init__(self, uris: Sequence[str], node_id: str, transport_params: Mapping[str, Any] | None = None) -> None:
        self._uris = [f"{uri.rstrip('/')}/ray_spilled_objects_{node_id}" for uri in uris]
        self._transport_params = dict(transport_params or {})
        self._numbers = itertools.count()
        self._paths: set[str] = set()

    def _open(self, path: str, mode: str) -> Any:
        try:
            import smart_open
        except ModuleNotFoundError:
            import fsspec

            return fsspec.open(path, mode, auto_mkdir=True, **self._transport_params).open()
        return smart_open.open(path, mode, transport_params=self._transport_params or None)

    def validate(self) -> None:
        """Raises OSError or ModuleNotFoundError when a URI cannot be written to."""
        for uri in self._uris:
            path = f"{uri}/.probe"
            with self._open(path, "wb") as file:
                file.write(b"?")
            self.delete(path)

    def spill(self, objects: Mapping[bytes, memoryview]) -> dict[bytes, Url]:
        number = next(self._numbers)
        path = f"{self._uris[number % len(self._uris)]}/{number:08d}-{len(objects)}"
        urls, position = {}, 0
        with self._open(path, "wb") as file:
            for object_id, data in objects.items():
                file.write(data)
                urls[object_id] = Url(path, position, data.nbytes)
                position += data.nbytes
        self._paths.add(path)
        return urls

    def restore(self, url: Url, target: memoryview, start: int = 0) -> None:
        with self._open(url.path, "rb") as file:
            file.seek(url.offset + start)
            data = file.read(target.nbytes)
        if len(data) != target.nbytes:
            raise OSError(f"{url} has only {len(data)} of {target.nbytes} bytes.")
        target[:] = data

    def delete(self, path: str) -> None:
        import fsspec

        self._paths.discard(path)
        filesystem, name = fsspec.core.url_to_fs(path, **self._transport_params)
        try:
            filesystem.rm(name)
        except FileNotFoundError:
            return

    def destroy(self) -> None:
        for path in list(self._paths):
            self.delete(path)


def storage_of(config: str, directory: str, node_id: str) -> FileStorage | RemoteStorage:
    """The storage that `object_spilling_config` (JSON) asks for; "": files in `directory`.

    Raises:
        ValueError: no JSON, an unknown type, or missing parameters.
    """
    if not config:
        return FileStorage([directory], node_id)
    try:
        parsed = json.loads(config)
        kind, params = parsed["type"], parsed.get("params", {})
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f'object_spilling_config={config!r} is no JSON like {{"type": …, "params": …}}.') from error
    if kind in FILE_STORAGES:
        return FILE_STORAGES[kind](_several(params, "directory_path", directory), node_id)
    if kind == "smart_open":
        return RemoteStorage(_several(params, "uri", None), node_id, params.get("override_transport_params"))
    raise ValueError(
        f"object_spilling_config has the type {kind!r}; there are {', '.join(FILE_STORAGES)} and smart_open."
    )


def _several(params: Mapping[str, Any], name: str, default: str | None) -> list[str]:
    given = params.get(name, default)
    places = [given] if isinstance(given, str) else given
    if not isinstance(places, list) or not places or not all(isinstance(place, str) for place in places):
        raise ValueError(f"object_spilling_config: {name} is a string or a list of strings, not {given!r}.")
    return places
