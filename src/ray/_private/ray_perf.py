"""The workloads that Ray's users know, measured: what is behind `ray microbenchmark`.

Nothing but the public API is used, so this very file measures any Ray: run it by path with the Python of the Ray
to be measured (`python -P ray_perf.py`; benchmarks/compare.py does so). A workload that a Ray cannot do is
recorded with its error and the suite goes on. Names are those that `ray microbenchmark` prints where it has them.

A workload is a generator: it prepares, yields an operation, and cleans up. `rate` operations return how much
work they did and are repeated for a fixed time; `reading` operations return the measured number themselves.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import datetime
import functools
import json
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import ray

Operation = Callable[[], float]
Workflow = Callable[[], Iterator[Operation]]

CPUS = os.cpu_count() or 1
# Two clients and two servers are the fewest that make "n:n"; more than half the cores would measure the kernel's
# scheduler instead of Ray.
CLIENTS = max(2, CPUS // 2)
BATCH = 1000
MIB = 1024.0 * 1024.0


# --- the harness ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Plan:
    """How long to measure. The least a sample lasts is `duration_s`; an operation is never cut short."""

    warmup_s: float
    duration_s: float
    repeats: int
    heavy_repeats: int  # of readings, which take seconds each


FULL = Plan(warmup_s=0.5, duration_s=1.0, repeats=4, heavy_repeats=3)
QUICK = Plan(warmup_s=0.2, duration_s=0.4, repeats=3, heavy_repeats=1)


@dataclass(frozen=True, slots=True)
class Workload:
    name: str
    unit: str  # "per second" is better when higher; "seconds", "MiB" and "processes" when lower
    run: Workflow
    measure: Callable[[Operation, Plan], list[float]]
    timeout_s: float
    needs_cluster: bool  # False: it starts clusters of its own in subprocesses
    huge: bool  # left out unless asked for


@dataclass(slots=True)
class Result:
    """What one workload gave; `error` says why there are no samples."""

    name: str
    unit: str
    samples: list[float] = field(default_factory=list)
    error: str | None = None

    def line(self) -> str:
        if self.error is not None:
            return f"{self.name} unsupported: {self.error}"
        spread = statistics.pstdev(self.samples)
        return f"{self.name} {self.unit} {statistics.median(self.samples):.4g} +- {spread:.2g}"


class WorkloadTimeout(BaseException):
    """Raised by the alarm. Not an Exception, so that no `except Exception` on the way up can lose it."""


def measure_rate(operation: Operation, plan: Plan) -> list[float]:
    """Work per second, one sample per repeat."""

    def sample(duration_s: float) -> float:
        done, began = 0.0, time.perf_counter()
        while True:
            done += operation()
            elapsed_s = time.perf_counter() - began
            if elapsed_s >= duration_s:
                return done / elapsed_s

    sample(plan.warmup_s)
    return [sample(plan.duration_s) for _ in range(plan.repeats)]


def measure_reading(operation: Operation, plan: Plan) -> list[float]:
    """What the operation says, one sample per repeat."""
    return [operation() for _ in range(plan.heavy_repeats)]


WORKLOADS: list[Workload] = []


def rate(name: str, *, timeout_s: float = 60.0) -> Callable[[Workflow], Workflow]:
    """Register a workload whose operation returns how much work it did."""

    def register(run: Workflow) -> Workflow:
        WORKLOADS.append(Workload(name, "per second", run, measure_rate, timeout_s, True, False))
        return run

    return register


def reading(
    name: str, unit: str = "seconds", *, timeout_s: float = 120.0, needs_cluster: bool = True, huge: bool = False
) -> Callable[[Workflow], Workflow]:
    """Register a workload whose operation returns the measured number."""

    def register(run: Workflow) -> Workflow:
        WORKLOADS.append(Workload(name, unit, run, measure_reading, timeout_s, needs_cluster, huge))
        return run

    return register


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


@contextlib.contextmanager
def deadline(timeout_s: float) -> Iterator[None]:
    """Raise WorkloadTimeout in the main thread when the body takes longer."""

    def expire(_signal: int, _frame: FrameType | None) -> None:
        raise WorkloadTimeout(f"not done after {timeout_s:g} s")

    previous = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, timeout_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def start_cluster() -> None:
    """Start a local instance with one CPU per core, unless one is running."""
    if not ray.is_initialized():
        ray.init(
            address="local",
            num_cpus=CPUS,
            include_dashboard=False,
            logging_level="ERROR",
            log_to_driver=False,
            **temp_dir_option(),
        )


def temp_dir_option() -> dict[str, Any]:
    # Through the environment, because the probes of this file run in subprocesses and need it too.
    temp_dir = os.environ.get("RAY_PERF_TEMP_DIR")
    return {"_temp_dir": temp_dir} if temp_dir else {}


def run_workload(workload: Workload, plan: Plan, timeout_s: float | None = None) -> Result:
    """Measure one workload; whatever goes wrong in it is its result, and takes its cluster with it."""
    result = Result(workload.name, workload.unit)
    try:
        with deadline(timeout_s or workload.timeout_s):
            if workload.needs_cluster:
                start_cluster()
            else:
                ray.shutdown()
            with contextlib.contextmanager(workload.run)() as operation:
                result.samples = workload.measure(operation, plan)
    except (Exception, WorkloadTimeout) as error:
        result.error = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}"
        ray.shutdown()  # what it left half-done must not disturb the next
    return result


# --- what the workloads run -------------------------------------------------------------------------------------


@ray.remote
def small_value() -> bytes:
    return b"ok"


@ray.remote
def process_id() -> int:
    return os.getpid()


@ray.remote
def count_arguments(*arguments: object) -> int:
    return len(arguments)


@ray.remote(num_returns=3000)
def many_returns() -> list[int]:
    return list(range(3000))


@ray.remote
def create_object_containing_refs(count: int) -> list[Any]:
    return [ray.put(1) for _ in range(count)]


class ServerCode:
    """Answers at once: what a call costs is Ray's part of it."""

    def small_value(self) -> bytes:
        return b"ok"

    def small_value_arg(self, _argument: object) -> bytes:
        return b"ok"

    def process_id(self) -> int:
        return os.getpid()


class AsyncServerCode:
    async def small_value(self) -> bytes:
        return b"ok"

    async def small_value_with_arg(self, _argument: object) -> bytes:
        await asyncio.sleep(0)  # a real switch of coroutines, as any async method has
        return b"ok"


class ClientCode:
    """Submits from a process of its own, so that several clients do not share one interpreter."""

    def __init__(self, servers: Sequence[Any]) -> None:
        self.servers = servers

    def ready(self) -> bool:
        return True

    def submit_tasks(self, count: int) -> None:
        ray.get([small_value.remote() for _ in range(count)])

    def call_servers(self, count: int) -> None:
        ray.get([server.small_value.remote() for _ in range(count) for server in self.servers])

    def call_servers_with_arg(self, count: int) -> None:
        argument = ray.put(0)
        ray.get([server.small_value_arg.remote(argument) for _ in range(count) for server in self.servers])

    def put_small(self, count: int) -> None:
        for _ in range(count):
            ray.put(0)

    def put_large(self, count: int) -> None:
        array = large_array(80_000_000)
        for _ in range(count):
            ray.put(array)


# Zero CPUs: the servers and clients must not take those of the tasks that some workloads submit.
Server = ray.remote(num_cpus=0)(ServerCode)
AsyncServer = ray.remote(num_cpus=0)(AsyncServerCode)
Client = ray.remote(num_cpus=0)(ClientCode)


@contextlib.contextmanager
def servers_of(actor_class: Any, count: int, **options: Any) -> Iterator[list[Any]]:
    """Start actors and wait until each has answered; kill them at the end."""
    actors = [actor_class.options(**options).remote() for _ in range(count)]
    ray.get([actor.small_value.remote() for actor in actors])
    yield actors
    kill_all(actors)


@contextlib.contextmanager
def clients_of(servers: Sequence[Any], count: int) -> Iterator[list[Any]]:
    clients = [Client.remote(servers) for _ in range(count)]
    ray.get([client.ready.remote() for client in clients])
    yield clients
    kill_all(clients)


def kill_all(actors: Sequence[Any]) -> None:
    for actor in actors:
        ray.kill(actor)


def large_array(size_bytes: int) -> Any:
    import numpy

    return numpy.ones(size_bytes // 8, dtype=numpy.int64)  # ones: zeros would be the kernel's one zero page


def call(method: Any, *arguments: object) -> float:
    """One call, waited for."""
    ray.get(method.remote(*arguments))
    return 1


def call_batch(methods: Sequence[Any], *arguments: object) -> float:
    """BATCH calls spread over the methods, all submitted before the first result is asked for."""
    share = BATCH // len(methods)
    ray.get([method.remote(*arguments) for _ in range(share) for method in methods])
    return share * len(methods)


# --- objects ----------------------------------------------------------------------------------------------------


@rate("single client get calls (Plasma Store)")
def get_calls() -> Iterator[Operation]:
    ref = ray.put(0)

    def get() -> float:
        ray.get(ref)
        return 1

    yield get


@rate("single client put calls (Plasma Store)")
def put_calls() -> Iterator[Operation]:
    def put() -> float:
        ray.put(0)
        return 1

    yield put


@rate("multi client put calls (Plasma Store)")
def multi_client_put_calls() -> Iterator[Operation]:
    with clients_of([], CLIENTS) as clients:
        yield lambda: call_clients(clients, "put_small", 100, CLIENTS * 100)


def call_clients(clients: Sequence[Any], method: str, count: int, work: float) -> float:
    """Let every client do `count` rounds at the same time; `work` is what they do together."""
    ray.get([getattr(client, method).remote(count) for client in clients])
    return work


def put_gigabytes(size_bytes: int) -> Iterator[Operation]:
    array = large_array(size_bytes)

    def put() -> float:
        ray.put(array)
        return size_bytes / 1e9

    yield put


@rate("single client put gigabytes")
def put_800_megabytes() -> Iterator[Operation]:
    return put_gigabytes(800_000_000)


@rate("single client put gigabytes (100 MB)")
def put_100_megabytes() -> Iterator[Operation]:
    return put_gigabytes(100_000_000)


@rate("multi client put gigabytes")
def multi_client_put_gigabytes() -> Iterator[Operation]:
    with clients_of([], CLIENTS) as clients:
        yield lambda: call_clients(clients, "put_large", 5, CLIENTS * 5 * 0.08)


@rate("single client get object containing 10k refs")
def get_object_containing_refs() -> Iterator[Operation]:
    ref = create_object_containing_refs.remote(10_000)
    ray.wait([ref])

    def get() -> float:
        ray.get(ref)
        return 1

    yield get


@rate("single client wait 1k refs")
def wait_for_refs() -> Iterator[Operation]:
    def wait() -> float:
        not_ready = [small_value.remote() for _ in range(1000)]
        while not_ready:
            _ready, not_ready = ray.wait(not_ready)
        return 1

    yield wait


# --- tasks ------------------------------------------------------------------------------------------------------


@rate("single client tasks sync")
def tasks_sync() -> Iterator[Operation]:
    yield lambda: call(small_value)


@rate("single client tasks async")
def tasks_async() -> Iterator[Operation]:
    yield lambda: call_batch([small_value])


@rate("single client tasks and get batch")
def tasks_and_get_batch() -> Iterator[Operation]:
    def batch() -> float:
        refs = [small_value.remote() for _ in range(1000)]
        for ref in refs:
            ray.get(ref)
        return 1

    yield batch


@rate("multi client tasks async")
def multi_client_tasks() -> Iterator[Operation]:
    with clients_of([], CLIENTS) as clients:
        yield lambda: call_clients(clients, "submit_tasks", BATCH, CLIENTS * BATCH)


# --- actors -----------------------------------------------------------------------------------------------------


@rate("1:1 actor calls sync")
def actor_sync() -> Iterator[Operation]:
    with servers_of(Server, 1) as (server,):
        yield lambda: call(server.small_value)


@rate("1:1 actor calls async")
def actor_async() -> Iterator[Operation]:
    with servers_of(Server, 1) as (server,):
        yield lambda: call_batch([server.small_value])


@rate("1:1 actor calls concurrent")
def actor_concurrent() -> Iterator[Operation]:
    with servers_of(Server, 1, max_concurrency=16) as (server,):
        yield lambda: call_batch([server.small_value])


@rate("1:n actor calls async")
def one_to_n_actors() -> Iterator[Operation]:
    with servers_of(Server, CLIENTS) as servers:
        yield lambda: call_batch([server.small_value for server in servers])


@rate("n:1 threaded actor calls async")
def threaded_actor() -> Iterator[Operation]:
    with servers_of(Server, 1, max_concurrency=16) as servers, clients_of(servers, CLIENTS) as clients:
        yield lambda: call_clients(clients, "call_servers", BATCH, CLIENTS * BATCH)


@rate("n:n actor calls async")
def n_to_n_actors() -> Iterator[Operation]:
    with servers_of(Server, CLIENTS) as servers, clients_of(servers, CLIENTS) as clients:
        yield lambda: call_clients(clients, "call_servers", BATCH // CLIENTS, BATCH // CLIENTS * CLIENTS**2)


@rate("n:n actor calls with arg async")
def n_to_n_actors_with_arg() -> Iterator[Operation]:
    with contextlib.ExitStack() as stack:
        pairs = [stack.enter_context(servers_of(Server, 1)) for _ in range(CLIENTS)]
        clients = [stack.enter_context(clients_of(servers, 1))[0] for servers in pairs]
        yield lambda: call_clients(clients, "call_servers_with_arg", BATCH, CLIENTS * BATCH)


@rate("1:1 async-actor calls sync")
def async_actor_sync() -> Iterator[Operation]:
    with servers_of(AsyncServer, 1) as (server,):
        yield lambda: call(server.small_value)


@rate("1:1 async-actor calls async")
def async_actor_async() -> Iterator[Operation]:
    with servers_of(AsyncServer, 1) as (server,):
        yield lambda: call_batch([server.small_value])


@rate("1:1 async-actor calls with args async")
def async_actor_with_args() -> Iterator[Operation]:
    with servers_of(AsyncServer, 1) as (server,):
        yield lambda: call_batch([server.small_value_with_arg], 0)


@rate("1:n async-actor calls async")
def one_to_n_async_actors() -> Iterator[Operation]:
    with servers_of(AsyncServer, CLIENTS) as servers:
        yield lambda: call_batch([server.small_value for server in servers])


@rate("n:n async-actor calls async")
def n_to_n_async_actors() -> Iterator[Operation]:
    with servers_of(AsyncServer, CLIENTS) as servers, clients_of(servers, CLIENTS) as clients:
        yield lambda: call_clients(clients, "call_servers", BATCH // CLIENTS, BATCH // CLIENTS * CLIENTS**2)


@rate("actor create, call and kill")
def actor_life() -> Iterator[Operation]:
    def live() -> float:
        server = Server.remote()
        ray.get(server.small_value.remote())
        ray.kill(server)
        return 1

    yield live


@reading("20 actors created")
def twenty_actors() -> Iterator[Operation]:
    def create() -> float:
        began = time.perf_counter()
        with servers_of(Server, 20):
            return time.perf_counter() - began

    yield create


# --- placement groups -------------------------------------------------------------------------------------------


@rate("placement group create/removal")
def placement_groups() -> Iterator[Operation]:
    from ray.util.placement_group import placement_group, remove_placement_group

    def create_and_remove() -> float:
        groups = [placement_group([{"CPU": 0.01}]) for _ in range(50)]
        for group in groups:
            if not group.wait(timeout_seconds=30):
                raise RuntimeError("a placement group was not ready within 30 s")
        for group in groups:
            remove_placement_group(group)
        return len(groups)

    yield create_and_remove


# --- many at once -----------------------------------------------------------------------------------------------


@reading("10k ref args to one task")
def many_arguments() -> Iterator[Operation]:
    refs = [ray.put(number) for number in range(10_000)]
    yield lambda: seconds(lambda: ray.get(count_arguments.remote(*refs)))


@reading("3k returns of one task")
def three_thousand_returns() -> Iterator[Operation]:
    yield lambda: seconds(lambda: ray.get(many_returns.remote()))


@reading("10k store objects in one get")
def many_objects_in_one_get() -> Iterator[Operation]:
    refs = [ray.put(number) for number in range(10_000)]
    yield lambda: seconds(lambda: ray.get(refs))


def queue_tasks(count: int) -> Iterator[Operation]:
    ray.get(small_value.remote())
    yield lambda: seconds(lambda: ray.get([small_value.remote() for _ in range(count)]))


@reading("100k queued tasks", timeout_s=300.0)
def queued_100k() -> Iterator[Operation]:
    return queue_tasks(100_000)


@reading("1M queued tasks", timeout_s=1800.0, huge=True)
def queued_1m() -> Iterator[Operation]:
    return queue_tasks(1_000_000)


# --- starting, in processes of their own ------------------------------------------------------------------------


def probe_startup() -> dict[str, float]:
    """Times of one fresh driver with the defaults a user has."""
    init_s = seconds(lambda: ray.init(address="local", logging_level="ERROR", **temp_dir_option()))
    first_task_s = seconds(lambda: ray.get(small_value.remote()))
    return {"init_s": init_s, "first_task_s": first_task_s, "shutdown_s": seconds(ray.shutdown)}


def probe_memory() -> dict[str, float]:
    """What an idle cluster of one driver costs, and what each idle worker and idle actor of it costs, in MiB."""
    adopt_orphans()
    ray.init(address="local", num_cpus=CPUS, logging_level="ERROR", **temp_dir_option())
    cluster = settled_memory()
    worker_pids = set(ray.get([process_id.remote() for _ in range(CPUS * 4)]))
    actors = [Server.remote() for _ in range(10)]
    actor_pids = set(ray.get([actor.process_id.remote() for actor in actors]))
    settled_memory()
    worker, actor = memory_of(worker_pids), memory_of(actor_pids)
    ray.shutdown()
    return {
        "cluster_private": cluster.private_mib,
        "cluster_pss": cluster.pss_mib,
        "cluster_processes": cluster.processes,
        "worker_private": worker.private_mib / worker.processes,
        "worker_pss": worker.pss_mib / worker.processes,
        "actor_private": actor.private_mib / actor.processes,
        "actor_pss": actor.pss_mib / actor.processes,
    }


@dataclass(frozen=True, slots=True)
class Memory:
    """Sums over processes: `private` is theirs alone (USS), `pss` adds their share of what others map too."""

    processes: int
    private_mib: float
    pss_mib: float


def memory_of(pids: set[int]) -> Memory:
    """Read from the kernel; a process that ends meanwhile is left out."""
    processes, private_kib, pss_kib = 0, 0, 0
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            kib = {key: int(value) for key, value in re.findall(r"^(\w+): +(\d+) kB$", text, re.MULTILINE)}
            processes += 1
            private_kib += kib["Private_Clean"] + kib["Private_Dirty"]
            pss_kib += kib["Pss"]
    return Memory(processes, private_kib / 1024, pss_kib / 1024)


def settled_memory(deadline_s: float = 30.0) -> Memory:
    """The memory of all processes below this one, once it has stayed within 1 MiB for three readings."""
    readings: list[Memory] = []
    give_up_at_s = time.monotonic() + deadline_s
    while time.monotonic() < give_up_at_s:
        readings = [*readings[-2:], memory_of(descendants(os.getpid()))]
        sums = [reading.pss_mib for reading in readings]
        if len(sums) == 3 and max(sums) - min(sums) < 1:
            break
        time.sleep(0.7)  # the sampling interval: a cluster still starting grows by more than 1 MiB in it
    return readings[-1]


def adopt_orphans() -> None:
    """Become the parent of daemons whose parent exits, so that descendants() finds every one. See prctl(2)."""
    pr_set_child_subreaper = 36
    if ctypes.CDLL(None, use_errno=True).prctl(pr_set_child_subreaper, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def descendants(root: int) -> set[int]:
    """All processes below `root`, as /proc tells now."""
    parent_of: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            # The name, in parentheses, may hold anything; the state and the parent's id come after it.
            parent_of[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found, frontier = set[int](), {root}
    while frontier:
        frontier = {pid for pid, parent in parent_of.items() if parent in frontier}
        found |= frontier
    return found


PROBES: dict[str, Callable[[], dict[str, float]]] = {"startup": probe_startup, "memory": probe_memory}


def run_python(*arguments: str) -> str:
    # -P: the folder of this file must not come before the standard library.
    done = subprocess.run([sys.executable, "-P", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last_line = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise RuntimeError(f"the probe ended with code {done.returncode}: {last_line}")
    return done.stdout.strip().splitlines()[-1]


@functools.cache
def probe(name: str, number: int) -> dict[str, float]:
    """The readings of one fresh process; `number` tells runs apart, so that workloads share them."""
    readings: dict[str, float] = json.loads(run_python(__file__, "--probe", name))
    return readings


def probe_readings(name: str, key: str) -> Iterator[Operation]:
    numbers = iter(range(FULL.heavy_repeats))
    yield lambda: probe(name, next(numbers))[key]


@reading("import ray time", needs_cluster=False)
def import_time() -> Iterator[Operation]:
    code = "import time; began = time.perf_counter(); import ray; print(time.perf_counter() - began)"
    run_python("-c", code)  # the first import may compile and read from disk
    yield lambda: float(run_python("-c", code))


def register_probe(workload: str, unit: str, name: str, key: str) -> None:
    reading(workload, unit, needs_cluster=False)(lambda: probe_readings(name, key))


register_probe("ray.init time", "seconds", "startup", "init_s")
register_probe("first task time", "seconds", "startup", "first_task_s")
register_probe("ray.shutdown time", "seconds", "startup", "shutdown_s")
register_probe("idle cluster processes", "processes", "memory", "cluster_processes")
register_probe("idle cluster memory private", "MiB", "memory", "cluster_private")
register_probe("idle cluster memory PSS", "MiB", "memory", "cluster_pss")
register_probe("idle worker memory private", "MiB", "memory", "worker_private")
register_probe("idle worker memory PSS", "MiB", "memory", "worker_pss")
register_probe("idle actor memory private", "MiB", "memory", "actor_private")
register_probe("idle actor memory PSS", "MiB", "memory", "actor_pss")


# --- the command ------------------------------------------------------------------------------------------------
