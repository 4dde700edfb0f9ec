"""`list_logs` and `get_log` of the state API.

Source: Ray docs, "State API".
"""

import os

import pytest

import ray
from ray.util import state
from ray.util.state.exception import RayStateApiException


@ray.remote
def printing(text):
    print(text)
    return os.getpid()


@pytest.fixture(scope="module")
def node_id():
    ray.init(num_cpus=1, log_to_driver=False)
    yield ray.get_runtime_context().get_node_id()
    ray.shutdown()


def _text(**where):
    return "".join(state.get_log(**where))


def test_logs_are_listed_by_category(node_id):
    ray.get(printing.remote("x"))
    found = state.list_logs(node_id=node_id)
    assert {"worker_out", "worker_err", "raylet", "gcs_server"} <= set(found)
    assert "raylet.err" in found["raylet"]
    assert list(state.list_logs(node_id=node_id, glob_filter="*gcs*")) == ["gcs_server"]
    with pytest.raises(AssertionError):
        state.list_logs()
    with pytest.raises(RayStateApiException, match="ab" * 28):
        state.list_logs(node_id="ab" * 28)


def test_the_log_of_a_task_has_its_lines_alone(node_id):
    one, other = printing.remote("of one"), printing.options(name="other").remote("of the other")
    pid, _ = ray.get([one, other])
    assert "of one\n" in _text(task_id=one.task_id().hex())
    assert _text(task_id=other.task_id().hex()) == "of the other\n"
    everything = _text(pid=pid, node_id=node_id)
    assert "of one\n" in everything and "of the other\n" in everything and ":task_name:" not in everything
    assert _text(pid=pid, node_id=node_id, tail=1) == "of the other\n"
    assert _text(pid=pid, suffix="err") == ""


def test_the_log_of_an_actor_is_found_by_its_id(node_id):
    @ray.remote(num_cpus=0)
    class Speaker:
        def say(self):
            print("\x1b[31mred\x1b[0m words")

    speaker = Speaker.remote()
    ray.get(speaker.say.remote())
    actor_id = speaker._actor_id.hex()
    assert _text(actor_id=actor_id) == "\x1b[31mred\x1b[0m words\n"
    assert _text(actor_id=actor_id, filter_ansi_code=True) == "red words\n"
    assert b"".join(state.get_log(actor_id=actor_id, encoding=None)).startswith(b"\x1b[31m")


def test_following_a_log_gives_what_comes_later(node_id):
    pid = ray.get(printing.remote("before"))
    following = state.get_log(pid=pid, follow=True, tail=1, _interval=0.01)
    assert next(following) == "before\n"
    ray.get(printing.remote("after"))
    assert next(following) == "after\n"


def test_a_file_is_read_by_name_and_a_missing_one_is_refused(node_id):
    node_ip, pid = ray.util.get_node_ip_address(), ray.get(printing.remote("x"))
    (name,) = state.list_logs(node_ip=node_ip, glob_filter=f"worker*-{pid}.out")["worker_out"]
    assert _text(filename=name, node_id=node_id).startswith(f":node_id:{node_id}\n")
    assert _text(filename=name, node_ip=node_ip) == _text(filename=name)
    with pytest.raises(RayStateApiException, match="nope"):
        _text(filename="nope")
    with pytest.raises(RayStateApiException, match="process id 1 "):
        _text(pid=1)
    with pytest.raises(RayStateApiException, match="is needed"):
        _text()
