"""What a core worker does with messages that it does not take."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest

from ray._core.common import messages as m
from ray._core.worker.core import CoreWorker


class Wire(SimpleNamespace):
    """A connection that keeps the answers."""

    role, peer = "core", "another core worker"

    def reply(self, request, message):
        self.answer = message


@pytest.fixture
def driver():
    return CoreWorker("driver")


def test_a_request_that_nobody_serves_is_answered(driver):
    wire = Wire()
    driver.received(wire, m.ListNodes(), b"")
    assert isinstance(wire.answer, m.Failed)
    assert (wire.answer.kind, wire.answer.message) == ("unknown_request", "A driver does not serve ListNodes.")


def test_an_order_from_a_peer_that_may_not_give_it_is_refused(driver):
    wire = Wire()
    driver.received(wire, m.ProposeSpill(object_ids=[]), b"")
    assert wire.answer.kind == "forbidden"


def test_a_driver_drops_a_task_and_says_so(driver, caplog):
    with caplog.at_level(logging.WARNING):
        driver.received(Wire(), m.CancelTask(task_id=b"t", force=False, recursive=False), b"")
    assert "Dropped a CancelTask" in caplog.text
