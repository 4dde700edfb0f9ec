"""`ray.timeline()`.

Source: Ray docs, "ray.timeline".
"""

import json
import time

import pytest

import ray


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
