"""Who joins while the GCS is started again waits for it; another refusal is told."""

import pytest

from ray._core.node import membership
from ray._core.wire.auth import AuthenticationFailed


def failing(errors):
    calls = []

    def ask():
        calls.append(None)
        if errors:
            raise errors.pop(0)
        return len(calls)

    return ask


def test_a_gcs_that_comes_back_is_waited_for():
    assert membership.patiently(failing([ConnectionRefusedError(), ConnectionResetError()])) == 3


def test_one_that_does_not_is_told_of_when_the_time_is_over(monkeypatch):
    monkeypatch.setenv("RAY_gcs_rpc_server_connect_timeout_s", "0")
    with pytest.raises(ConnectionRefusedError):
        membership.patiently(failing([ConnectionRefusedError()]))


def test_a_wrong_version_is_told_at_once():
    with pytest.raises(membership.VersionMismatch):
        membership.patiently(failing([membership.VersionMismatch("no")]))


def test_a_handshake_must_fail_twice_since_a_killed_gcs_looks_like_one_with_another_token():
    assert membership.patiently(failing([AuthenticationFailed("no")])) == 2
    with pytest.raises(AuthenticationFailed):
        membership.patiently(failing([AuthenticationFailed("no"), AuthenticationFailed("no")]))
