"""Fixtures that Ray's own tests import."""

from collections.abc import Iterator

import pytest


@pytest.fixture
def set_override_dashboard_url(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[None]:
    """RAY_OVERRIDE_DASHBOARD_URL is the fixture's parameter; unset without one."""
    url = getattr(request, "param", "https://external_dashboard_url")
    if url:
        monkeypatch.setenv("RAY_OVERRIDE_DASHBOARD_URL", url)
    yield
