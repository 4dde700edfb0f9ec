"""`ray._common.test_utils` and `ray._private.test_utils`: what Ray's own tests and third parties' import."""

import asyncio
import subprocess
import sys
import time

import pytest

import ray
from ray._common import network_utils, utils
from ray._common.test_utils import (
    Semaphore,
    SignalActor,
    async_wait_for_condition,
    run_string_as_driver,
    wait_for_condition,
)
from ray._private import test_utils
from ray.util.queue import Empty

INIT = {"log_to_driver": False}


def test_a_condition_is_waited_for():
    seen = iter([False, False, True])
    wait_for_condition(lambda: next(seen), retry_interval_ms=1)
    wait_for_condition(lambda x: x == 1, x=1)
    with pytest.raises(RuntimeError, match="wasn't met before the timeout expired"):
        wait_for_condition(lambda: False, timeout=0.01, retry_interval_ms=1)
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        wait_for_condition(lambda: 1 / 0, timeout=0.01, retry_interval_ms=1)
    with pytest.raises(ZeroDivisionError):
        wait_for_condition(lambda: 1 / 0, raise_exceptions=True)


def test_a_condition_is_awaited():
    async def says_no():
        return False

    async def says(what):
        return what

    asyncio.run(async_wait_for_condition(says, what=True))
    asyncio.run(async_wait_for_condition(lambda: True))
    with pytest.raises(RuntimeError, match="wasn't met"):
        asyncio.run(async_wait_for_condition(says_no, timeout=0.01, retry_interval_ms=1))


def test_an_assertion_is_waited_for():
    seen = iter([1, 2, 3])

    def three():
        assert next(seen) == 3

    test_utils.wait_for_assertion(three, retry_interval_ms=1)
    with pytest.raises(AssertionError, match="never"):

        def never():
            raise AssertionError("never")

        test_utils.wait_for_assertion(never, timeout=0.01, retry_interval_ms=1)


def test_a_function_is_tried_until_it_succeeds():
    seen = iter([0, 0, 1])
    again = test_utils.wait_until_succeeded_without_exception
    assert again(lambda: 1 / next(seen), (ZeroDivisionError,), retry_interval_ms=1)
    assert not again(lambda: 1 / 0, (ZeroDivisionError,), timeout_ms=5, retry_interval_ms=1)
    with pytest.raises(Exception, match="Timed out while testing"):
        again(lambda: 1 / 0, (ZeroDivisionError,), timeout_ms=5, retry_interval_ms=1, raise_last_ex=True)


def test_signals_release_those_who_wait(cluster):
    signal = SignalActor.remote()
    waiting = [signal.wait.remote() for _ in range(2)]
    wait_for_condition(lambda: ray.get(signal.cur_num_waiters.remote()) == 2)
    assert ray.wait(waiting, timeout=0)[0] == []
    ray.get(signal.send.remote(clear=True))
    ray.get(waiting)
    later = signal.wait.remote()
    wait_for_condition(lambda: ray.get(signal.cur_num_waiters.remote()) == 1)
    ray.get(signal.wait.remote(should_wait=False))
    ray.get(signal.send.remote())
    ray.get([later, signal.wait.remote()])
    ray.kill(signal)


def test_a_semaphore_counts(cluster):
    semaphore = Semaphore.remote(value=2)
    ray.get([semaphore.acquire.remote(), semaphore.acquire.remote()])
    assert ray.get(semaphore.locked.remote())
    third = semaphore.acquire.remote()
    ray.get(semaphore.release.remote())
    ray.get(third)
    ray.kill(semaphore)


def test_an_actor_is_dead_once_the_helper_returns(cluster):
    actor = SignalActor.options(name="short-lived").remote()
    ray.get(actor.cur_num_waiters.remote())
    test_utils.kill_actor_and_wait_for_failure(actor)
    with pytest.raises(ValueError):
        ray.get_actor("short-lived")


def test_where_an_actor_is(cluster):
    actor = SignalActor.remote()
    assert test_utils.get_actor_node_id(actor) == ray.get_runtime_context().get_node_id()
    ray.kill(actor)


def test_scripts_run_as_drivers():
    out, err = test_utils.run_string_as_driver_stdout_stderr("import sys; print(6); print(7, file=sys.stderr)")
    assert (out, err) == ("6\n", "7\n")
    assert run_string_as_driver("import sys; print(6, flush=True); print(7, file=sys.stderr)") == "6\n7\n"
    for run in (run_string_as_driver, test_utils.run_string_as_driver_stdout_stderr):
        with pytest.raises(subprocess.CalledProcessError):
            run("raise SystemExit(3)")
    process = test_utils.run_string_as_driver_nonblocking("print(5)")
    assert process.stdout.read() == b"5\n"
    assert process.wait() == 0
    process.stdout.close()
    process.stderr.close()


def test_processes_are_waited_for():
    script = "import subprocess, sys; subprocess.run(['cat'], stdin=sys.stdin)"
    process = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE)
    test_utils.wait_for_children_of_pid(process.pid, num_children=1)
    with pytest.raises(TimeoutError):
        test_utils.wait_for_pid_to_exit(process.pid, timeout=0.01)
    process.stdin.close()
    process.wait()
    test_utils.wait_for_pid_to_exit(process.pid)


def test_error_events_can_be_listened_to(cluster):
    subscriber = test_utils.init_error_pubsub()

    @ray.remote(max_retries=0)
    def die():
        import os

        os._exit(1)

    with pytest.raises(ray.exceptions.WorkerCrashedError):
        ray.get(die.remote())
    (event,) = test_utils.get_error_message(subscriber, 1, timeout=20)
    assert event["type"] == "worker_died"
    assert event["error_message"]
    assert event["job_id"] == ray.get_runtime_context().job_id.binary()
    assert test_utils.get_error_message(subscriber, 1, timeout=0.01) == []
    subscriber.close()


def test_the_driver_is_warned_of_thousands_of_calls_and_of_detached_actors_nobody_will_find(cluster):
    subscriber = test_utils.init_error_pubsub()

    @ray.remote(num_cpus=0)
    class Slow:
        def wait(self, seconds):
            time.sleep(seconds)

    def events(count):
        told = test_utils.get_error_message(subscriber, count, timeout=20)
        return [(each["type"], each["error_message"]) for each in told]

    actor = Slow.remote()
    client = actor._ray_state.client
    assert client._warn_at == 5000
    client._warn_at = 10
    refs = [actor.wait.remote(60), *(actor.wait.remote(0) for _ in range(20))]
    assert [(kind, text[:30]) for kind, text in events(2)] == [
        ("excess_queueing_warning", "Warning: More than 10 tasks ar"),
        ("excess_queueing_warning", "Warning: More than 20 tasks ar"),
    ]
    ray.kill(actor)
    del refs
    namespace = ray.get_runtime_context().namespace
    for options in ({"namespace": "told"}, {}):
        ray.kill(Slow.options(lifetime="detached", **options).remote())
    ((kind, text),) = events(1)
    assert kind == "detached_actor_anonymous_namespace" and f'ray.init(namespace="{namespace}", ...)' in text
    subscriber.close()


def test_printed_lines_can_be_listened_to(cluster):
    subscriber = test_utils.init_log_pubsub()

    @ray.remote
    def say(what):
        print(what)

    ray.get([say.remote("one"), say.remote("two")])
    lines = [line for lines in test_utils.get_log_message(subscriber, 2, timeout=20) for line in lines]
    assert sorted(lines) == ["one", "two"]
    ray.get(say.remote("three"))
    (batch,) = test_utils.get_log_data(subscriber, 1, timeout=20, matcher=lambda line: line == "three")
    assert batch["lines"] == ["three"]
    assert batch["is_err"] is False
    assert batch["task_name"] == "say"
    assert batch["job"] == ray.get_runtime_context().get_job_id()
    subscriber.close()


def test_addresses():
    assert network_utils.build_address("1.2.3.4", 5) == "1.2.3.4:5"
    assert network_utils.build_address("::1", 5) == "[::1]:5"
    assert network_utils.parse_address("1.2.3.4:5") == ("1.2.3.4", "5")
    assert network_utils.parse_address("[::1]:5") == ("::1", "5")
    for wrong in ("", "host", "::1", "http://host:5", "a:b:5"):
        assert network_utils.parse_address(wrong) is None
    assert network_utils.is_ipv6("::1") and not network_utils.is_ipv6("127.0.0.1")
    assert network_utils.is_localhost("127.0.0.1") and not network_utils.is_localhost("8.8.8.8")
    assert not test_utils.wait_until_server_available("127.0.0.1:1", timeout_ms=1, retry_interval_ms=1)
    assert test_utils.format_web_url("localhost:8265") == "http://127.0.0.1:8265"
    assert 0 < network_utils.find_free_port() < 65536


def test_small_things(tmp_path):
    import os

    assert utils.import_attr("os.path.join") is os.path.join
    assert utils.import_attr("os:path") is os.path
    assert utils.load_class("collections.OrderedDict").__name__ == "OrderedDict"
    with pytest.raises(ValueError):
        utils.load_class("nothing")
    assert (utils.decode(b"x"), utils.decode(None, allow_none=True)) == ("x", "")
    with pytest.raises(ValueError, match="bytes"):
        utils.decode("x")
    options = {"num_cpus": 1, "resources": {"a": 1}, "accelerator_type": "X", "memory": 5}
    amounts = {"a": 1, "CPU": 1, "memory": 5, "accelerator_type:X": 0.001}
    assert utils.resources_from_ray_options(options) == amounts
    assert len(utils.get_random_alphanumeric_string(7)) == 7
    (tmp_path / "a.md").touch()
    assert test_utils.recursive_fnmatch(str(tmp_path), "*.md") == [str(tmp_path / "a.md")]
    with test_utils.chdir(str(tmp_path)):
        assert os.getcwd() == str(tmp_path)
    assert test_utils.same_elements([1, {}], [{}, 1]) and not test_utils.same_elements([1], [2])
    assert test_utils.generate_system_config_map(a=1) == {"_system_config": {"a": 1}}


def test_a_batch_queue_gives_several_items(cluster):
    shared = test_utils.BatchQueue(maxsize=4)
    for item in range(3):
        shared.put(item)
    assert shared.get_batch(2) == [0, 1]
    assert shared.get_batch(batch_size=5, total_timeout=0.01) == [2]
    with pytest.raises(Empty):
        shared.get_batch(1, first_timeout=0.01)
    shared.shutdown(force=True)
