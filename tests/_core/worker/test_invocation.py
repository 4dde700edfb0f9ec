"""What a call's results do to the objects of the process that ran it."""

import contextlib
from types import SimpleNamespace

from ray._core.common import messages as m
from ray._core.store import serialization
from ray._core.worker.invocation import Call, Invoker, _is_retried


def lent_for(connection_is_closed, monkeypatch):
    """Ids of the objects that were lent for a result with one ref inside."""
    lent = []
    core = SimpleNamespace(
        lock=contextlib.nullcontext(),
        address=m.Address(b"", b"me", "", 0, ""),
        lending=SimpleNamespace(lend=lambda key, borrower: lent.append((key, borrower))),
        values=SimpleNamespace(write=lambda key, serialized, owner, attempt: m.Value(blob=b"")),
    )
    ref = SimpleNamespace(binary=lambda: b"inner", _owner=None)
    monkeypatch.setattr(serialization, "serialize", lambda value: SimpleNamespace(refs=[value]))
    caller = SimpleNamespace(peer=m.Address(b"", b"caller", "", 0, ""), is_closed=connection_is_closed)
    Invoker(core, None).pack_value(Call(None, bytes(24), caller), 1, ref)
    return lent


def test_refs_in_a_result_are_lent_to_the_caller(monkeypatch):
    assert lent_for(False, monkeypatch) == [(b"inner", b"caller")]


def test_nothing_is_lent_to_a_caller_that_has_gone(monkeypatch):
    """It would give nothing back, and the object would live as long as this process."""
    assert lent_for(True, monkeypatch) == []


def test_a_task_whose_retry_exceptions_cannot_be_read_is_not_retried_and_its_error_is_told(caplog):
    """The worker died of it, with all that it owned."""
    assert not _is_retried(b"no pickle", ValueError("the task's own"))
    assert "retry_exceptions cannot be read here" in caplog.text
    assert _is_retried(serialization.dump_code((ValueError,)), ValueError())
