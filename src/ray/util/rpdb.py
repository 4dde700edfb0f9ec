"""A debugger in a task: `breakpoint()` waits for `ray debug` (or any telnet) to attach, which then is a pdb session.

A breakpoint listens on a port of its own and writes itself into the key-value table. Whoever can attach can run code
as this user, so only processes of the same user on this machine are let in as they are; others, where
RAY_DEBUGGER_EXTERNAL=1 lets them come at all, must prove the cluster's token.
Source: Ray docs, "Using the Ray Debugger" (legacy). Variables: REMOTE_PDB_HOST, REMOTE_PDB_PORT,
RAY_DEBUG_POST_MORTEM=1 (also opens a session for every error that a task raises).
"""

from __future__ import annotations

import json
import logging
import os
import pdb
import socket
import sys
import time
import traceback
import uuid
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

from ray._core.common import messages as m
from ray._core.wire import auth, tls
from ray._core.wire.local_peer import is_own_process
from ray._core.worker import object_ref as _process
from ray._private.auto_init_hook import connected_core
from ray._private.not_included import absent_names

log = logging.getLogger("ray")
NAMESPACE = "pdb"
KEY_PREFIX = "RAY_PDB_"


class RemotePdb(pdb.Pdb):
    """A pdb session over a connection. It ends, and the program goes on, when the peer leaves."""

    def __init__(self, connection: socket.socket, key: bytes) -> None:
        self._connection, self._key = connection, key
        # Two files: one for both directions forgets what it has read ahead whenever it is written to.
        self._files: list[Any] = [
            connection.makefile(mode, encoding="utf-8", errors="replace", newline="\n") for mode in ("r", "w")
        ]
        super().__init__(stdin=self._files[0], stdout=self._files[1], nosigint=True)
        self.prompt = "(Pdb) "
        self.use_rawinput = False

    def do_continue(self, arg: str) -> bool | None:
        self._leave()
        return super().do_continue(arg)

    do_c = do_cont = do_continue

    def do_quit(self, arg: str) -> bool | None:
        """End the session and the task: it raises bdb.BdbQuit."""
        self._leave()
        return super().do_quit(arg)

    do_q = do_exit = do_quit

    def do_EOF(self, arg: str) -> bool | None:
        """The peer has left: go on as if it had said so."""
        return self.do_continue(arg)

    def interaction(self, frame: FrameType | None, tb_or_exc: Any) -> None:
        try:
            super().interaction(frame, tb_or_exc)
        except (OSError, ValueError):  # the peer has gone in the middle of a command
            self._leave()
            self.set_continue()

    def _leave(self) -> None:
        connection, self._connection = self._connection, None  # type: ignore[assignment]
        if connection is None:
            return
        _forget(self._key)
        for end in (*self._files, connection):
            try:
                end.close()
            except OSError:  # it is gone already
                continue
        # What pdb still says (where it stops after `continue`) has no reader.
        self.stdin = self.stdout = open(os.devnull, "r+")  # noqa: SIM115


def set_trace(breakpoint_uuid: str | bytes | None = None) -> None:
    """Stop here until somebody attaches; in a driver, an ordinary pdb at the terminal."""
    stop_at(sys._getframe().f_back, breakpoint_uuid)


def stop_at(frame: FrameType | None, breakpoint_uuid: str | bytes | None = None) -> None:
    """As `set_trace`, in another frame than the caller's."""
    core = _process._core
    if core is None or core.mode == "driver":
        pdb.Pdb().set_trace(frame)
    else:
        _wait_for_debugger(frame, breakpoint_uuid).set_trace(frame)


def _post_mortem(tb: TracebackType | None = None) -> None:
    """A session at the place where an exception was raised; None: the one being handled."""
    tb = tb or sys.exc_info()[2]
    if tb is None:
        raise ValueError("There is no exception to look at.")
    last = tb
    while last.tb_next is not None:
        last = last.tb_next
    debugger = _wait_for_debugger(last.tb_frame, None)
    debugger.reset()
    debugger.interaction(None, tb)


def _is_ray_debugger_post_mortem_enabled() -> bool:
    return os.environ.get("RAY_DEBUG_POST_MORTEM", "0") == "1"


def _wait_for_debugger(frame: FrameType | None, breakpoint_uuid: str | bytes | None) -> RemotePdb:
    """Announce a breakpoint at `frame` and wait for whoever attaches."""
    core = connected_core()
    is_external = os.environ.get("RAY_DEBUGGER_EXTERNAL", "0") == "1"
    host = os.environ.get("REMOTE_PDB_HOST") or (core.node.host if is_external else "127.0.0.1")
    with socket.create_server((host, int(os.environ.get("REMOTE_PDB_PORT", "0")))) as listening:
        name = breakpoint_uuid.decode() if isinstance(breakpoint_uuid, bytes) else breakpoint_uuid or uuid.uuid4().hex
        key = f"{KEY_PREFIX}{name}".encode()
        port = listening.getsockname()[1]
        _announce(key, f"{host}:{port}", frame)
        print(f"RemotePdb session open at {host}:{port}, use 'ray debug' to connect...", file=sys.stderr, flush=True)
        try:
            connection = _accept(listening, core.token)
        except BaseException:
            _forget(key)
            raise
    return RemotePdb(connection, key)


def _accept(listening: socket.socket, token: bytes) -> socket.socket:
    while True:
        connection, peer = listening.accept()
        try:
            if not is_own_process(connection):
                connection = tls.wrap(connection, tls.server_context())
                auth.accept_blocking(connection, token)
            return connection
        except OSError as error:
            log.warning("A debugger from %s was refused: %s", peer, error)
            connection.close()


def _announce(key: bytes, address: str, frame: FrameType | None) -> None:
    core = connected_core()
    call = core.current
    told = {
        "proctitle": f"ray::{call.template.name}" if call is not None else "ray::?",
        "pdb_address": address,
        "filename": frame.f_code.co_filename if frame is not None else "",
        "lineno": frame.f_lineno if frame is not None else 0,
        "traceback": "".join(traceback.format_stack(frame)),
        "timestamp": time.time(),
        "job_id": core.job_id.hex(),
        "node_id": core.node.node_id.hex(),
        "worker_id": core.worker_id.hex(),
        "actor_id": core.actor_id.hex() or None,
        "task_id": call.task_id.hex() if call is not None else None,
    }
    core.ask_gcs(m.KvPut(namespace=NAMESPACE, key=key, value=json.dumps(told).encode()))


def _forget(key: bytes) -> None:
    core = _process._core
    if core is not None:
        core.ask_gcs(m.KvDel(namespace=NAMESPACE, key=key))


if not TYPE_CHECKING:  # a checker that saw this would take any name for granted
    __getattr__ = absent_names(
        __name__,
        "It is a part of Ray's own machinery.",
        "_driver_set_trace",
    )
