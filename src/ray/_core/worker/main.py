"""A worker process, from the zygote's fork to its end. Floor: worker, shell."""

from __future__ import annotations

import os
from typing import NoReturn

from ray._core.common import messages as m
from ray._core.worker import garbage, last_words, object_ref
from ray._core.worker.core import CoreWorker
from ray._core.worker.executor import Executor


def prepare() -> CoreWorker:
    """What is to become a worker by `run`, in this process or in a fork of it."""
    return CoreWorker("worker", Executor)


def run(core: CoreWorker, worker_id: bytes, job_id: bytes) -> NoReturn:
    """Register with the raylet and run tasks until the raylet ends or kills this process."""
    core.handlers[m.CollectGarbage] = garbage.collect
    core.connect(os.environ["RAY_RAYLET_SOCKET"], worker_id, job_id)
    object_ref._core = core
    last_words.install(core.reactor)
    core.run_setup_hook()
    core.executor.run()
    raise AssertionError("Executor.run never returns.")
