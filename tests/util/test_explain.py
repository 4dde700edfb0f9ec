"""`ray.util.explain`, `ray explain`, and what a driver is told when it waits long: one real case of each reason.

docs/waiting.md describes them.
"""

import os
import re
import signal
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
import psutil
import pytest
from click.testing import CliRunner

import ray
from ray.cluster_utils import Cluster
from ray.scripts.scripts import cli
from ray.util import explain

MIB = 1024 * 1024
REPORT_S = 0.4


@pytest.fixture(scope="module")
def nodes():
    """The head, to which the driver belongs, has 2 CPUs; the other node has 3, and the resource "far"."""
    from gone import wait_gone  # here, since workers import this module, and cannot import that one

    settings = {"waiting_report_s": REPORT_S, "fetch_chunk_size": 64 * 1024}
    head = {"num_cpus": 2, "object_store_memory": 256 * MIB, "_system_config": settings}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    cluster.far = cluster.add_node(num_cpus=3, resources={"far": 100}, object_store_memory=256 * MIB)
    ray.init(address=cluster.address, log_to_driver=False)
    started = psutil.Process().children(recursive=True)
    yield cluster
    ray.shutdown()
    cluster.shutdown()
    assert wait_gone(started, timeout=20) == []


@pytest.fixture
def gate(tmp_path):
    """A file that tasks wait for; it comes at the end of the test, if not before."""
    path = tmp_path / "gate"
    yield path
    path.touch()


def told(waiting_for, *words, within_s=15):
    """What `explain` says once each of these patterns is in it."""
    deadline_at_s = time.monotonic() + within_s
    while True:
        text = explain(waiting_for)
        if all(re.search(pattern, text) for pattern in words):
            return text
        assert time.monotonic() < deadline_at_s, f"not all of {words} in:\n{text}"
        time.sleep(0.1)


def pause(path):
    while not Path(path).exists():
        time.sleep(0.01)


@ray.remote
def hold(path, *_):
    pause(path)
    return 1


@ray.remote
def add(*values):
    return sum(values)


@ray.remote
def fetch(refs):
    return ray.get(refs[0])


@ray.remote(num_cpus=0)
class Worker:
    def __init__(self, *_):
        self.held = None

    def work(self, path=None, *_):
        if path:
            pause(path)
        return os.getpid()

    def own(self, path):
        self.held = hold.options(num_cpus=0).remote(path)
        return [self.held]

    def ask(self, other, me):
        return ray.get(other.ask_back.remote(me))

    def ask_back(self, other):
        return ray.get(other.work.remote())


# ------------------------------------------------------------------ tasks


def test_a_task_waits_for_cpus_that_others_hold_by_name(nodes, gate):
    holders = [hold.options(num_cpus=2, resources={"far": 1}).remote(gate)]
    told(holders[0], "task hold .* runs for")
    waiting = add.options(num_cpus=3).remote(1)
    text = told(waiting, r"task add \(\w{48}\) has waited [\d.]+ s for 3 CPU on node \w{8}:", "1 of 3 CPU free")
    assert re.search(r"node \w{8} \([\d.]+\) has 1 of 3 CPU free; held by task hold \(2 CPU, pid \d+, for", text)
    assert explain(waiting.hex()) == repr(explain(waiting.task_id().hex())) or "task add" in explain(waiting.hex())
    blocked = add.remote(waiting, 2)
    text = told(blocked, r"task add \(\w+\) has waited [\d.]+ s for 1 of 1 ref argument", "3 CPU on node")
    assert text.count("\n") == 2
    gate.touch()
    assert ray.get(blocked, timeout=30) == 3
    assert "waits for nothing: its value exists" in explain(blocked)


def test_tasks_of_one_kind_wait_for_those_before_them(nodes, gate):
    running = [hold.options(resources={"far": 50}).remote(gate) for _ in range(2)]
    for each in running:
        told(each, "task hold .* runs for")
    first, second = (hold.options(resources={"far": 50}).remote(gate) for _ in range(2))
    told(second, "for a worker, after 1 task of its kind; 2 workers of its kind are busy with 2 tasks:", "100 far")
    told(first, "for a worker; 2 workers of its kind are busy", r"\n  task hold .* runs for")


def test_a_demand_that_no_node_can_meet_says_what_is_missing(nodes):
    ref = add.options(num_gpus=3).remote(1)
    told(ref, "for 1 CPU, 3 GPU, which no node can hold: it needs {'GPU': 3.0}, and the most that a node has is 0 GPU")
    ray.cancel(ref)


def test_a_task_that_waits_in_get_is_followed_to_what_it_waits_for(nodes, gate):
    inner = hold.options(num_cpus=0).remote(gate)
    outer = fetch.options(resources={"far": 1}).remote([inner])
    text = told(outer, "task fetch .* runs .*, and waits for:", r"\n  task hold \(\w+\) runs")
    assert text.count("\n") == 1
    gate.touch()
    assert ray.get(outer, timeout=30) == 1


def test_who_waits_for_himself_is_told_that_it_is_a_circle(nodes):
    first, second = Worker.remote(), Worker.remote()
    ref = first.ask.remote(second, first)
    told(
        ref,
        r"^task Worker.ask \(.* runs for .*, and waits for:\n  task Worker.ask_back .* runs for .*, and waits for:\n",
        r"\n    task Worker.work .* for process .*, which runs Worker.ask .*:\n",
        r"\n      task Worker.ask \(.*, which waits for all this itself: a circle that nobody can leave$",
    )
    for actor in (first, second):
        ray.kill(actor)


def test_a_story_tells_what_went_wrong_before(nodes, gate, tmp_path):
    @ray.remote(max_retries=1, num_cpus=0)
    def die_once(mark, path):
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        pause(path)

    ref = die_once.remote(tmp_path / "mark", gate)
    told(ref, "task .*die_once .* runs for", r"\n    [\d.]+ s ago: attempt 1 failed: .*process ended|SIGKILL")


def test_a_runtime_environment_that_is_being_built_is_said_to_be(nodes, tmp_path):
    processes = psutil.Process().children(recursive=True)
    agents = [each for each in processes if any(file.path.endswith("agent.err") for file in each.open_files())]
    assert len(agents) == 2, "one of each node"
    with zipfile.ZipFile(tmp_path / "code.zip", "w") as package:
        package.writestr("code/code.py", "")
    for agent in agents:
        agent.suspend()
    try:
        ref = add.options(runtime_env={"working_dir": f"file://{tmp_path}/code.zip"}).remote(1)
        told(ref, "for its runtime environment, which is being built on node .*working_dir")
    finally:
        for agent in agents:
            agent.resume()
    assert ray.get(ref, timeout=60) == 1


# ------------------------------------------------------------------ objects


def test_an_object_on_its_way_says_from_where_and_how_much_has_come(nodes):
    @ray.remote(num_cpus=0, resources={"far": 1})
    def make():
        return np.zeros(48 * MIB, dtype=np.uint8)

    ref = make.remote()
    ray.wait([ref], fetch_local=False)
    source = nodes.far.all_processes["raylet"][0].process.pid
    os.kill(source, signal.SIGSTOP)
    try:
        coming = ref.future()
        text = told(ref, "is being brought to the node where it is wanted:", r"\n  its transfer is under way for")
        assert re.search(
            rf"from node {nodes.far.node_id[:8]}: (48.0 MiB in all|[\d.]+ \w+ of 48.0 MiB have come)", text
        )
    finally:
        os.kill(source, signal.SIGCONT)
    assert coming.result(timeout=60).nbytes == 48 * MIB
    told(ref, "its value exists .48.0 MiB on node")


def test_an_owner_that_does_not_answer_is_named_and_nobody_hangs(nodes, gate):
    owner = Worker.options(resources={"far": 1}).remote()
    (inner,) = ray.get(owner.own.remote(gate))
    reader = fetch.options(num_cpus=0).remote([inner])
    told(reader, "task fetch .* and waits for:", "task hold")
    pid = ray.get(owner.work.remote())
    os.kill(pid, signal.SIGSTOP)
    try:
        began_at_s = time.monotonic()
        text = explain(inner)
        assert time.monotonic() - began_at_s < 6
        assert "is awaited from its owner:" in text
        assert "cannot be followed further: 1 process did not answer in time" in text
    finally:
        os.kill(pid, signal.SIGCONT)
    told(inner, "task hold .* runs for")


def test_errors_and_unknown_ids_are_said_to_be_what_they_are(nodes):
    failed = add.remote("x")
    ray.wait([failed])
    told(failed, "waits for nothing: it is an error, .*TypeError")
    assert "no process knows it" in explain("ab" * 28)
    assert "the cluster does not know it" in explain("ab" * 16)
    for wrong, words in (("xyz", "no id"), ("abcd", "has 4 digits")):
        with pytest.raises(ValueError, match=words):
            explain(wrong)
    with pytest.raises(TypeError, match="Nothing waits for a int"):
        explain(7)


def test_a_stream_that_nobody_reads_is_stopped_in_its_yield(nodes):
    @ray.remote(num_cpus=0, _generator_backpressure_num_objects=2)
    def count():
        yield from range(10)

    stream = count.remote()
    told(stream, r"is stopped in its yield \(process .* until somebody takes its last 2 items")
    assert [ray.get(ref) for ref in stream] == list(range(10))


# ------------------------------------------------------------------ actors and placement groups


def test_a_call_waits_behind_others_and_names_the_method_that_runs(nodes, gate):
    actor = Worker.remote()
    calls = [actor.work.remote(str(gate)) for _ in range(3)]
    told(calls[0], "task Worker.work .* runs for")
    text = told(calls[2], r"behind 1 call in process \d+ on node \w+, which runs Worker.work \([\d.]+ s\):")
    assert text.splitlines()[1].startswith("  task Worker.work (")
    told(actor, r"actor Worker \(\w{32}\) lives:\n  its process runs Worker.work for")
    held_back = [actor.work.remote(None, add.options(num_gpus=9).remote()), actor.work.remote()]
    told(held_back[1], "for 1 earlier call, since an actor takes them in order:", "no node can hold")
    ray.kill(actor)


def test_an_actor_with_threads_says_how_many_calls_it_takes_at_a_time(nodes, gate):
    actor = Worker.options(max_concurrency=2).remote()
    calls = [actor.work.remote(str(gate)) for _ in range(4)]
    told(calls[0], "runs for .* in process")
    told(calls[3], "behind 1 call in process .*Worker.work.*Worker.work .*, 2 at a time:")


def test_of_many_calls_in_one_process_each_is_told_with_what_it_waits_for(nodes, gate):
    @ray.remote(num_cpus=0)
    class Async:
        async def wait(self, refs):
            return await refs[0]

    first, second = hold.options(num_cpus=0).remote(gate), add.options(num_gpus=9).remote()
    actor = Async.remote()
    calls = [actor.wait.remote([ref]) for ref in (first, second)]
    text = told(calls[0], r"task Async.wait .* runs for .*, and waits for:\n  task hold")
    assert "GPU" not in text
    text = told(calls[1], "task Async.wait .* runs for .*, and waits for:", "9 GPU")
    assert "task hold" not in text
    ray.kill(actor)


def test_an_actor_that_has_no_room_is_told_with_those_who_have_it(nodes, gate):
    holder = hold.options(num_cpus=2, resources={"far": 1}).remote(gate)
    told(holder, "runs for")
    actor = Worker.options(num_cpus=3).remote()
    text = told(actor.work.remote(), "at its caller, since the actor does not live yet:", "for 3 CPU on node")
    assert "held by task hold (2 CPU" in text
    told(actor, r"actor Worker \(\w+\) has waited [\d.]+ s for 3 CPU")
    gate.touch()
    assert ray.get(actor.work.remote(), timeout=30)


def test_an_actor_whose_constructor_waits_for_an_argument_leads_to_that(nodes, gate):
    actor = Worker.remote(hold.options(num_cpus=0).remote(gate))
    told(actor, r"actor Worker \(\w+\) (has waited .*|waits) for 1 of 1 ref argument:", r"\n  task hold .* runs")
    told(actor.work.remote(), "the actor does not live yet", "task hold .* runs")


def test_an_actor_that_starts_again_says_why(nodes, gate, tmp_path):
    @ray.remote(max_restarts=3, max_task_retries=-1, num_cpus=0)
    class Slow:
        def __init__(self, mark, path):
            if mark.exists():
                pause(path)
            mark.touch()

        def pid(self):
            return os.getpid()

    actor = Slow.remote(tmp_path / "mark", gate)
    os.kill(ray.get(actor.pid.remote()), signal.SIGKILL)
    told(
        actor,
        r"has been starting again for .* \(restart 1 of 3\), because .*SIGKILL",
        r"Slow.__init__ \(actor \w{32}\) runs for",
    )
    gate.touch()
    assert ray.get(actor.pid.remote(), timeout=30)


def test_a_placement_group_says_which_bundles_lack_room_and_where(nodes, gate):
    holder = hold.options(num_cpus=2, resources={"far": 1}).remote(gate)
    told(holder, "runs for")
    group = ray.util.placement_group([{"CPU": 2}] * 2, strategy="STRICT_SPREAD", name="pair")
    text = told(group, r"placement group pair \(\w{36}\) \(STRICT_SPREAD\) has waited .* for 2 x {2 CPU}, all at once:")
    assert "held by task hold (2 CPU" in text
    told(group.ready(), "is ready once its placement group is:", "placement group pair")
    inside = add.options(
        scheduling_strategy=ray.util.scheduling_strategies.PlacementGroupSchedulingStrategy(group)
    ).remote(1)
    told(inside, "has no such bundle on any node now", r"\n  placement group pair")
    gate.touch()
    assert ray.get(inside, timeout=30) == 1
    told(group, "is ready: its 2 bundles have nodes")
    ray.util.remove_placement_group(group)
    told(group, "was removed|does not know it")


# ------------------------------------------------------------------ the command, and what the driver is told


def run(nodes, *arguments, status=0):
    done = CliRunner().invoke(cli, ["explain", *arguments, "--address", nodes.address])
    assert done.exit_code == status, done.output
    return done.output


def test_the_command_tells_the_same_from_outside_of_the_cluster(nodes, gate):
    inner = hold.options(num_cpus=0).remote(gate)
    outer = fetch.options(num_cpus=0).remote([inner])
    told(outer, "task fetch .*, and waits for:")
    for id in (outer.hex(), outer.task_id().hex()):
        assert re.search(r"task fetch \(\w+\) runs for .*, and waits for:\n  task hold .* runs for", run(nodes, id))
    assert "no process knows it" in run(nodes, "ab" * 28)
    assert "ids are hexadecimal digits" in run(nodes, "what", status=2)
    done = CliRunner().invoke(cli, ["explain", "ab" * 28, "--address", "127.0.0.1:1"])
    assert done.exit_code == 1
    assert "Failed to connect" in done.output


def test_a_driver_is_told_why_it_waits_again_and_again_ever_more_rarely(nodes, gate, caplog):
    ref = hold.options(num_cpus=0).remote(gate)

    def reports():
        return [each.getMessage() for each in caplog.records if each.getMessage().startswith("Waited")]

    def wait():
        threads = [threading.Thread(target=ray.get, args=(ref,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        return threads

    threads = wait()
    deadline_at_s = time.monotonic() + 20
    while len(reports()) < 2 and time.monotonic() < deadline_at_s:
        time.sleep(0.02)
    gate.touch()
    for thread in threads:
        thread.join()
    first, second = reports()[:2]
    assert re.fullmatch(r"Waited 0.4 s:\n  task hold \(\w+\) runs for [\d.]+ s in process \d+ on node \w+", first)
    assert second.startswith("Waited 0.8 s:"), "two threads that wait for the same are one wait"
    caplog.clear()
    assert ray.get(ref) == 1
    assert reports() == []


def test_waits_of_several_refs_and_of_groups_are_told_too(nodes, gate, caplog):
    refs = [hold.options(num_cpus=0).remote(gate) for _ in range(3)]
    assert ray.wait(refs, num_returns=3, timeout=REPORT_S * 2)[0] == []
    assert re.search(r"Waited 0.4 s for 3 things; the first:\n  task hold", caplog.text)
    group = ray.util.placement_group([{"CPU": 50}])
    assert not group.wait(REPORT_S * 2)
    assert re.search(r"Waited 0.4 s:\n  placement group \(\w+\) \(PACK\) .* for 1 x {50 CPU}", caplog.text)
    ray.util.remove_placement_group(group)
