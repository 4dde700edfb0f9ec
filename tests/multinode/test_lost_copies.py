"""Copies that came for a process which dies before it can tell of them: the owner frees them all the same."""

import os
import signal

import numpy as np
import pytest

import ray
from ray._core.common import messages as m
from ray._core.wire.connection import Connection
from ray.exceptions import WorkerCrashedError


def test_a_process_dies_as_soon_as_its_argument_has_come(start_cluster):
    start_cluster(num_cpus=0).add(num_cpus=1)

    @ray.remote(max_retries=0)
    def silent(box):
        """Says nothing to the owner but that it needs the value."""
        send = Connection.send
        Connection.send = lambda self, message: isinstance(message, m.AddLocation) or send(self, message)
        assert ray.get(box[0]).nbytes == 1 << 20
        os.kill(os.getpid(), signal.SIGKILL)

    ref = ray.put(np.ones(1 << 20, dtype=np.uint8))
    with pytest.raises(WorkerCrashedError):
        ray.get(silent.remote([ref]), timeout=30)
