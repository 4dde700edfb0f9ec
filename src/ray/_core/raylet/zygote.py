"""The zygote: one process with everything imported, which forks ready workers in about a millisecond.

Floor: raylet, shell. Single-threaded. It ends when its raylet does (the socket closes), and its children with it.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

from ray._core.common import env_vars
from ray._core.common.messages import ChildExited, Failed, Fork, Forked
from ray._core.wire import codec

ChildMain = Callable[[Fork], NoReturn]
_PR_SET_PDEATHSIG = 1


def serve(sock: socket.socket, import_for: Callable[[Fork], bool], child_main: ChildMain) -> None:
    """Fork on demand until the raylet is gone. Returns only in the zygote.

    Args:
        import_for: makes imports that such a fork needs, and all that share memory with it; whether there were any.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    wake_r, wake_w = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake_w)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    decoder = codec.FrameDecoder()
    gc.collect()
    gc.freeze()  # children then never write to the pages of what is imported here
    while True:
        ready, _, _ = select.select([sock.fileno(), wake_r], [], [])
        if wake_r in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(wake_r, 4096)
            _report_exits(sock)
        if sock.fileno() in ready:
            data = sock.recv(1 << 16)
            if not data:
                return
            for request, _ in decoder.feed(data):
                assert isinstance(request, Fork)
                if import_for(request):
                    gc.freeze()
                try:
                    pid = os.fork()
                except OSError as error:  # no room for one more process now: no reason to end the node
                    sock.sendall(codec.encode(Failed(kind="fork", message=str(error), rid=request.rid)))
                    continue
                if pid == 0:
                    signal.set_wakeup_fd(-1)
                    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
                    for descriptor in (sock.detach(), wake_r, wake_w):
                        os.close(descriptor)
                    _become_worker(request, child_main)
                sock.sendall(codec.encode(Forked(pid=pid, rid=request.rid)))


def _report_exits(sock: socket.socket) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        with contextlib.suppress(OSError):  # the raylet is gone: the loop sees it next
            sock.sendall(codec.encode(ChildExited(pid, status)))


def _enter_environment(request: Fork) -> None:
    """Variables, directory and import path, as an interpreter that starts in them would have them."""
    os.environ.update(request.env)
    before = os.environ.get("PYTHONPATH", "")
    env_vars.apply(request.env_vars, os.environ)
    if request.cwd:
        os.chdir(request.cwd)
    path = os.environ.get("PYTHONPATH", "")
    if path != before:
        sys.path[:0] = [entry for entry in path.split(os.pathsep) if entry and entry not in sys.path]
    sys.path[:0] = request.sys_path


def _become_worker(request: Fork, child_main: ChildMain) -> NoReturn:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    status = 1
    try:
        for path, target in ((request.out_path, 1), (request.err_path, 2)):
            path = path.replace("{pid}", str(os.getpid()))
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with contextlib.suppress(OSError):  # the disk is full: work can go on without a log
                os.write(descriptor, request.log_header)
            os.dup2(descriptor, target)
            os.close(descriptor)
        _enter_environment(request)
        child_main(request)
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):  # likewise
                stream.flush()
        os._exit(status)  # never back into the zygote's loop, whatever happened
