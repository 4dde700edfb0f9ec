"""`ray.timeline()`.

Source: Ray docs, "ray.timeline".
"""

import json
import time

import pytest

import ray
from ray._private import profiling


@pytest.fixture
def session():
    ray.init(num_cpus=2, log_to_driver=False)
    yield
    ray.shutdown()


def test_there_is_no_timeline_before_init():
    with pytest.raises(ray.exceptions.RaySystemError, match=r"ray\.init"):
        ray.timeline()


def test_every_task_that_has_ended_is_on_the_timeline_at_once(session, tmp_path):
    @ray.remote
    def nap(seconds):
        time.sleep(seconds)

    @ray.remote
    class Napper:
        def nap(self):
            time.sleep(0.01)

    @ray.remote
    def nested():
        ray.get(nap.options(name="inner").remote(0))

    before_us = time.time() * 1e6
    ray.get([nap.remote(0.05), nested.remote(), Napper.remote().nap.remote()])
    after_us = time.time() * 1e6
    events = {event["cat"]: event for event in ray.timeline()}
    assert set(events) == {"task::nap", "task::nested", "task::inner", "task::Napper.nap"}
    assert 0.04e6 < events["task::nap"]["dur"] < after_us - before_us
    for event in events.values():
        assert before_us <= event["ts"] and event["ts"] + event["dur"] <= after_us
    assert len({event["tid"] for event in events.values()}) >= 2
    assert ray.timeline(filename=str(tmp_path / "trace.json")) is None
    assert len(json.loads((tmp_path / "trace.json").read_text())) == 4


@pytest.fixture
def profiled(monkeypatch):
    monkeypatch.setenv("RAY_PROFILING", "1")  # workers read it when they import the module
    monkeypatch.setattr(profiling, "PROFILING_ENABLED", True)


def test_pieces_of_time_that_code_names_are_on_the_timeline(profiled, session):
    @ray.remote
    def works():
        with profiling.profile("custom_event", extra_data={"name": "custom name"}):
            time.sleep(0.05)

    ref = works.remote()
    ray.get(ref)
    with profiling.profile("in the driver"):
        pass
    events = {event["cat"]: event for event in ray.timeline()}
    assert events["custom_event"]["name"] == "custom name"
    assert events["custom_event"]["args"]["task_id"] == ref.task_id().hex()
    assert 0.04e6 < events["custom_event"]["dur"] <= events["task::works"]["dur"]
    assert events["custom_event"]["tid"] == events["task::works"]["tid"]
    assert events["in the driver"]["tid"].startswith("driver:")


def test_nothing_is_recorded_unless_it_is_wanted(session):
    with profiling.profile("unseen"):
        pass
    assert ray.timeline() == []
