"""Runtime environments of specific servers, built by the proxy. Floor: client, shell.

A client's server is a driver in the client's environment: the working_dir is its cwd, packages are importable. They lie
in a directory of the proxy's own, since those of workers may be deleted while no worker needs them.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ray._core.common import messages as m
from ray._private.runtime_env.agent import EnvBuilder
from ray._private.runtime_env.merge import normalized
from ray.util.client.server.gcs_access import GcsAccess


class ClientEnvs:
    """Builds environments one at a time per URI; used by any thread."""

    def __init__(self, gcs: GcsAccess, session_dir: Path) -> None:
        self._gcs = gcs
        self._session_dir = session_dir
        self._loop = asyncio.new_event_loop()
        self._builder: EnvBuilder | None = None
        self._lock = threading.Lock()

    def context(self, runtime_env: Mapping[str, Any], port: int) -> str:
        """JSON of the context of a server in this environment.

        Raises:
            SetupFailed: it could not be built.
        """
        text = normalized(dict(runtime_env)) if runtime_env else ""
        if not text:
            return "{}"
        with self._lock:
            if self._builder is None:
                threading.Thread(target=self._loop.run_forever, name="ray-client-envs", daemon=True).start()
                self._builder = asyncio.run_coroutine_threadsafe(self._make_builder(), self._loop).result()
        job = f"ray_client_server_{port}".encode()
        return asyncio.run_coroutine_threadsafe(self._builder.create(text, job), self._loop).result()

    async def _make_builder(self) -> EnvBuilder:
        resources_dir = self._session_dir / "runtime_resources" / "ray_client"
        resources_dir.mkdir(parents=True, exist_ok=True)
        return EnvBuilder(resources_dir, str(self._session_dir), self._session_dir / "logs", self._fetch)

    async def _fetch(self, key: str) -> bytes | None:
        request = m.KvGet(namespace="", key=key.encode())
        answer = await asyncio.get_running_loop().run_in_executor(None, self._gcs.ask, request)
        value: bytes | None = answer.value
        return value
