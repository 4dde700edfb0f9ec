"""The REST API of jobs: /api/jobs, /api/packages, /api/version; and /api/job_agent, by which Ray's own dashboard asks
its agents and which is the same here.

Source: Ray docs, "Ray Jobs", REST API. Bodies, codes and texts are those of Ray 2.60.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from ray._core.common import messages as m
from ray._core.common.errors import RaySystemError
from ray._core.common.packages import Parts
from ray._private.auto_init_hook import connected_core
from ray._private.not_included import absent_names
from ray._version import COMMIT, VERSION
from ray.dashboard.modules.job.common import (
    CURRENT_VERSION,
    JOB_LOGS_PATH_TEMPLATE,
    JobDetails,
    JobSubmitRequest,
    JobType,
)
from ray.dashboard.modules.job.details import AskedKeyValues, all_jobs
from ray.dashboard.modules.job.job_manager import JobManager

logger = logging.getLogger(__name__)
CHUNK = 1 << 20
"""Bytes of a log that are read at a time."""
TAIL_POLL_S = 0.1
"""How often a log that is tailed is looked at; the file system tells nobody portably."""
MAX_PACKAGE = 512 * 1024 * 1024


class JobHead:
    """Handlers of the routes.

    Args:
        logs_dir: where jobs of this node write.
        session_name: for /api/version.
    """

    def __init__(self, manager: JobManager, logs_dir: Path, session_name: str) -> None:
        self._manager = manager
        self._logs_dir = logs_dir
        self._session_name = session_name
        self._packages = AskedKeyValues(connected_core().ask_gcs, "")

    def routes(self) -> list[Any]:
        return [
            Route("/api/version", self._version),
            Route("/api/ray/version", self._version),
            Route("/api/packages/{protocol}/{package:path}", self._get_package, methods=["GET"]),
            Route("/api/packages/{protocol}/{package:path}", self._put_package, methods=["PUT"]),
            Route("/api/jobs/", self._list, methods=["GET"]),
            Route("/api/jobs", self._submit, methods=["POST"]),
            Route("/api/jobs", self._list, methods=["GET"]),
            Route("/api/jobs/{job_id}", self._get, methods=["GET"]),
            *self._of_one_job("/api/jobs"),
            *self._of_one_job("/api/job_agent/jobs"),
        ]

    def _of_one_job(self, prefix: str) -> list[Any]:
        return [
            Route(f"{prefix}/", self._submit, methods=["POST"]),
            Route(f"{prefix}/{{job_id}}", self._delete, methods=["DELETE"]),
            Route(f"{prefix}/{{job_id}}/stop", self._stop, methods=["POST"]),
            Route(f"{prefix}/{{job_id}}/logs", self._logs, methods=["GET"]),
            WebSocketRoute(f"{prefix}/{{job_id}}/logs/tail", self._tail),
        ]

    # ---------------------------------------------------------- version, packages

    async def _version(self, request: Request) -> Response:
        return JSONResponse(
            {
                "version": CURRENT_VERSION,
                "ray_version": VERSION,
                "ray_commit": COMMIT,
                "session_name": self._session_name,
            }
        )

    async def _get_package(self, request: Request) -> Response:
        uri = _package_uri(request)
        if uri is None:
            return PlainTextResponse("Only packages of the protocol gcs are kept here.", 400)
        if not await run_in_threadpool(self._packages.exists, uri):
            return PlainTextResponse(f"Package {uri} does not exist", 404)
        return Response(status_code=200)

    async def _put_package(self, request: Request) -> Response:
        uri = _package_uri(request)
        if uri is None:
            return PlainTextResponse("Only packages of the protocol gcs are kept here.", 400)
        parts, size = Parts(uri), 0
        async for data in request.stream():
            size += len(data)
            if size > MAX_PACKAGE:
                return PlainTextResponse(f"A package is at most {MAX_PACKAGE} bytes large.", 413)
            for key, part in parts.feed(data):
                await run_in_threadpool(self._packages.put, key, part, True)
        for key, part in parts.finish():
            await run_in_threadpool(self._packages.put, key, part, True)
        return Response(status_code=200)

    # ---------------------------------------------------------- submitting

    async def _submit(self, request: Request) -> Response:
        try:
            wanted = JobSubmitRequest.parse(await request.json())
            submission_id = await run_in_threadpool(self._manager.register, wanted)
        except (TypeError, ValueError):  # of the body, or since the id is taken
            return PlainTextResponse(traceback.format_exc(), 400)
        except Exception:
            return PlainTextResponse(traceback.format_exc(), 500)
        await run_in_threadpool(self._manager.start, submission_id, wanted)
        self._manager.watch(submission_id)
        return JSONResponse({"job_id": submission_id, "submission_id": submission_id})

    # ---------------------------------------------------------- looking

    def find(self, job_id: str) -> JobDetails | None:
        """By submission id, or by the id of its driver's job."""
        return next((each for each in self.all() if job_id in (each.submission_id, each.job_id)), None)

    def all(self) -> list[JobDetails]:
        """Submitted jobs, and drivers that nobody submitted."""
        return all_jobs(connected_core().ask_gcs)

    async def _list(self, request: Request) -> Response:
        return JSONResponse([job.dict() for job in await run_in_threadpool(self.all)])

    async def _get(self, request: Request) -> Response:
        job = await self._found(request)
        return _missing(request) if job is None else JSONResponse(job.dict())

    async def _found(self, request: Request) -> JobDetails | None:
        return await run_in_threadpool(self.find, request.path_params["job_id"])

    # ---------------------------------------------------------- stopping, deleting

    async def _stop(self, request: Request) -> Response:
        return await self._of_submission(
            request, "stop", lambda submission_id: {"stopped": self._manager.stop(submission_id)}
        )

    async def _delete(self, request: Request) -> Response:
        def delete(submission_id: str) -> dict[str, bool]:
            log = self._log(submission_id)
            return {"deleted": self._manager.delete(submission_id, lambda: log.unlink(missing_ok=True))}

        return await self._of_submission(request, "delete", delete)

    async def _of_submission(self, request: Request, verb: str, act: Callable[[str], Any]) -> Response:
        """Do something to a submitted job, and answer what `act` returns."""
        job = await self._found(request)
        if job is None:
            return _missing(request)
        if job.type is not JobType.SUBMISSION or job.submission_id is None:
            return PlainTextResponse(f"Can only {verb} submission type jobs", 400)
        try:
            return JSONResponse(await run_in_threadpool(act, job.submission_id))
        except Exception:
            return PlainTextResponse(traceback.format_exc(), 500)

    # ---------------------------------------------------------- logs

    def _log(self, submission_id: str) -> Path:
        return self._logs_dir / JOB_LOGS_PATH_TEMPLATE.format(submission_id=submission_id)

    async def _logs(self, request: Request) -> Response:
        job = await self._found(request)
        if job is None:
            return _missing(request)
        if job.type is not JobType.SUBMISSION or job.submission_id is None:
            return PlainTextResponse("Can only get logs of submission type jobs", 400)
        whole, position, submission_id = "", 0, job.submission_id
        while (read := await run_in_threadpool(self._read, submission_id, position))[0]:
            whole, position = whole + read[0], read[1]
        return JSONResponse({"logs": whole})

    async def _tail(self, socket: WebSocket) -> None:
        job = await run_in_threadpool(self.find, socket.path_params["job_id"])
        await socket.accept()
        if job is None or job.submission_id is None:
            await socket.close(1008, f"Job {socket.path_params['job_id']} does not exist")
            return
        try:
            async for text in self._follow(job.submission_id):
                await socket.send_text(text)
        except WebSocketDisconnect:
            return
        await socket.close(1000)

    async def _follow(self, submission_id: str) -> AsyncIterator[str]:
        """What is written to the job's log, as it comes, until the job has ended."""
        position, ended = 0, False
        while True:
            text, position = await run_in_threadpool(self._read, submission_id, position)
            if text:
                yield text
            elif ended:
                return
            else:
                info = await run_in_threadpool(self._manager.storage.get, submission_id)
                ended = info is None or info.status.is_terminal()
                if not ended:
                    await asyncio.sleep(TAIL_POLL_S)

    def _read(self, submission_id: str, position: int) -> tuple[str, int]:
        """What the job has written from `position` on, in whole characters, and where they end."""
        log = self._log(submission_id)
        if log.exists():
            with open(log, "rb") as file:
                file.seek(position)
                return _whole_characters(file.read(CHUNK), position)
        info, here = self._manager.storage.get(submission_id), connected_core().node.node_id.hex()
        if info is None or info.driver_node_id in (None, here):
            return "", position  # it has not started
        assert info.driver_node_id is not None
        node_id = bytes.fromhex(info.driver_node_id)
        try:
            chunk = connected_core().ask_gcs(m.ReadLog(node_id=node_id, name=log.name, offset=position, length=CHUNK))
        except RaySystemError as error:
            logger.warning("The log of job %s cannot be read on its node: %s", submission_id, error)
            return "", position
        return _whole_characters(chunk.data, position)


def _whole_characters(data: bytes, position: int) -> tuple[str, int]:
    text = data.decode(errors="ignore")
    if len(text.encode()) < len(data) - 3:  # not only a character that is cut at the end
        return data.decode(errors="replace"), position + len(data)
    return text, position + len(text.encode())


def _package_uri(request: Request) -> str | None:
    protocol, package = request.path_params["protocol"], request.path_params["package"]
    return f"gcs://{package}" if protocol == "gcs" else None


def _missing(request: Request) -> Response:
    return PlainTextResponse(f"Job {request.path_params['job_id']} does not exist", 404)


if not TYPE_CHECKING:  # a checker that saw this would take any name for granted
    __getattr__ = absent_names(
        __name__,
        "It is a part of Ray's own machinery.",
        "JobAgentSubmissionClient",
    )
