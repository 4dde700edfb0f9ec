"""The workloads that Ray's users know, measured: what is behind `ray microbenchmark`.

Nothing but the public API is used, so this very file measures any Ray: run it by path with the Python of
the Ray to be measured (`python -P ray_perf.py`; benchmarks/compare.py does so). What a Ray cannot do is
recorded with its error and the suite goes on. Names are those of `ray microbenchmark` where it has them. It stays one
file: what is in `__main__` travels to the workers by value, and a module beside it they would have to import.

A workload is a generator: it prepares, yields an operation, and cleans up. `rate` operations return how much
work they did and are repeated for a fixed time; `reading` operations return the measured number themselves.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime
import functools
import importlib
import itertools
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
Setup = Callable[[], Iterator[Operation]]

any_ray: Any = ray  # for names that some Rays lack: a workload finds out when it runs

CPUS = os.cpu_count() or 1
# Two clients and two servers are the fewest that make "n:n"; more than half the cores would measure the
# kernel's scheduler instead of Ray.
CLIENTS = max(2, CPUS // 2)
BATCH = 1000
MIB = 1024.0 * 1024.0


# --- the harness ------------------------------------------------------------------------------------------


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
    unit: str  # "per second" is better when higher, the others when lower
    setup: Setup
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
            return f"{self.name} not measured: {self.error}"
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


def rate(
    name: str,
    *,
    unit: str = "per second",
    measure: Callable[[Operation, Plan], list[float]] = measure_rate,
    timeout_s: float = 60.0,
    needs_cluster: bool = True,
    huge: bool = False,
) -> Callable[[Setup], Setup]:
    """Register a workload whose operation returns how much work it did."""

    def register(setup: Setup) -> Setup:
        WORKLOADS.append(Workload(name, unit, setup, measure, timeout_s, needs_cluster, huge))
        return setup

    return register


# Registers a workload whose operation returns the measured number.
reading = functools.partial(rate, unit="seconds", measure=measure_reading, timeout_s=120.0)


def counted(amount: float, work: Callable[[], object]) -> Operation:
    """The operation of a `rate`: `work`, which does this much."""

    def operation() -> float:
        work()
        return amount

    return operation


def timed(work: Callable[[], object]) -> Operation:
    """The operation of a `reading`: how many seconds `work` takes."""

    def operation() -> float:
        began = time.perf_counter()
        work()
        return time.perf_counter() - began

    return operation


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
    """Start a local instance with a user's defaults and one CPU per core, unless one is running."""
    if not ray.is_initialized():
        ray.init(address="local", num_cpus=CPUS, **temp_dir_option())


def temp_dir_option() -> dict[str, Any]:
    # Through the environment, because the probes run in subprocesses and need it too.
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
            with contextlib.contextmanager(workload.setup)() as operation:
                result.samples = workload.measure(operation, plan)
    except (Exception, WorkloadTimeout) as error:
        result.error = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}"
        ray.shutdown()  # what it left half-done must not disturb the next
    return result


# --- what the workloads run -------------------------------------------------------------------------------


@ray.remote
def small_value() -> bytes:
    return b"ok"


@ray.remote
def count_arguments(*arguments: object) -> int:
    return len(arguments)


@ray.remote
def count_to(count: int) -> list[int]:
    return list(range(count))


@ray.remote
def store_refs(count: int) -> list[Any]:
    return [ray.put(1) for _ in range(count)]


class Server:
    """Answers at once: what a call costs is Ray's part of it."""

    def ready(self) -> None: ...

    def small_value(self) -> bytes:
        return b"ok"

    def small_value_arg(self, _argument: object) -> bytes:
        return b"ok"


class AsyncServer:
    async def ready(self) -> None: ...

    async def small_value(self) -> bytes:
        return b"ok"

    async def small_value_arg(self, _argument: object) -> bytes:
        await asyncio.sleep(0)  # a real switch of coroutines, as any async method has
        return b"ok"


class Client:
    """Submits from a process of its own, so that several clients do not share one interpreter."""

    def __init__(self, servers: Sequence[Any]) -> None:
        self.servers = servers

    def ready(self) -> None: ...

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


@contextlib.contextmanager
def running(code: type, count: int, *arguments: object, **options: Any) -> Iterator[list[Any]]:
    """Start actors and wait until each has answered; kill them at the end."""
    # Zero CPUs: they must not take those of the tasks that some workloads submit.
    actor_class = any_ray.remote(num_cpus=0, **options)(code)
    actors = [actor_class.remote(*arguments) for _ in range(count)]
    ray.get([actor.ready.remote() for actor in actors])
    yield actors
    for actor in actors:
        any_ray.kill(actor)


def large_array(size_bytes: int) -> Any:
    import numpy

    return numpy.ones(size_bytes // 8, dtype=numpy.int64)  # ones: zeros would be the kernel's one zero page


def call_one(methods: Sequence[Any]) -> float:
    """One call of the only method, waited for."""
    ray.get(methods[0].remote())
    return 1


def call_batch(methods: Sequence[Any], *arguments: object) -> float:
    """BATCH calls spread over the methods, all submitted before the first result is asked for."""
    share = BATCH // len(methods)
    ray.get([method.remote(*arguments) for _ in range(share) for method in methods])
    return share * len(methods)


def call_clients(clients: Sequence[Any], method: str, rounds: int) -> None:
    """Let all clients do so many rounds at the same time."""
    ray.get([getattr(client, method).remote(rounds) for client in clients])


def multi_client(name: str, method: str, rounds: int, amount: float) -> None:
    """Register a workload in which CLIENTS actors do `method`; in `rounds` they do `amount` together."""

    @rate(name)
    def setup() -> Iterator[Operation]:
        with running(Client, CLIENTS, []) as clients:
            yield counted(amount, lambda: call_clients(clients, method, rounds))


def simple_rate(
    name: str, amount: float, work: Callable[..., object], prepare: Callable[[], object] | None = None
) -> None:
    """Register: `amount` done by each call of `work`, which is given what `prepare` made."""

    @rate(name)
    def setup() -> Iterator[Operation]:
        prepared = [prepare()] if prepare else []
        yield counted(amount, lambda: work(*prepared))


def simple_reading(name: str, work: Callable[[Any], object], prepare: Callable[[], object], **options: Any) -> None:
    """Register: how long `work` takes with what `prepare` made."""

    @reading(name, **options)
    def setup() -> Iterator[Operation]:
        prepared = prepare()
        yield timed(lambda: work(prepared))


# --- objects and tasks ------------------------------------------------------------------------------------


def stored(count: int) -> list[Any]:
    return [ray.put(number) for number in range(count)]


def wait_for_refs() -> None:
    not_ready = [small_value.remote() for _ in range(1000)]
    while not_ready:
        _ready, not_ready = ray.wait(not_ready)


simple_rate("single client get calls (Plasma Store)", 1, ray.get, lambda: ray.put(0))
simple_rate("single client put calls (Plasma Store)", 1, lambda: ray.put(0))
simple_rate("single client put gigabytes", 0.8, ray.put, lambda: large_array(800_000_000))
simple_rate("single client put gigabytes (100 MB)", 0.1, ray.put, lambda: large_array(100_000_000))
multi_client("multi client put calls (Plasma Store)", "put_small", 100, CLIENTS * 100)
multi_client("multi client put gigabytes", "put_large", 5, CLIENTS * 5 * 0.08)
simple_rate("single client get object containing 10k refs", 1, ray.get, lambda: store_refs.remote(10_000))
simple_rate("single client wait 1k refs", 1, wait_for_refs)
simple_rate("single client tasks sync", 1, lambda: call_one([small_value]))
simple_rate("single client tasks async", BATCH, lambda: call_batch([small_value]))
simple_rate("single client tasks and get batch", 1, lambda: call_batch([small_value]))
multi_client("multi client tasks async", "submit_tasks", BATCH, CLIENTS * BATCH)


# --- actors -----------------------------------------------------------------------------------------------


def one_client(
    name: str,
    code: Any,
    submit: Callable[..., float],
    *arguments: object,
    count: int = 1,
    **options: Any,
) -> None:
    """Register a workload in which the driver calls `count` actors."""

    @rate(name)
    def setup() -> Iterator[Operation]:
        with running(code, count, **options) as servers:
            methods = [server.small_value_arg if arguments else server.small_value for server in servers]
            yield lambda: submit(methods, *arguments)


def many_clients(name: str, code: type, count: int, **options: Any) -> None:
    """Register a workload in which CLIENTS actors each make BATCH calls to the same `count` actors."""

    @rate(name)
    def setup() -> Iterator[Operation]:
        with running(code, count, **options) as servers, running(Client, CLIENTS, servers) as clients:
            rounds = BATCH // count
            yield counted(CLIENTS * rounds * count, lambda: call_clients(clients, "call_servers", rounds))


one_client("1:1 actor calls sync", Server, call_one)
one_client("1:1 actor calls async", Server, call_batch)
one_client("1:1 actor calls concurrent", Server, call_batch, max_concurrency=16)
one_client("1:n actor calls async", Server, call_batch, count=CLIENTS)
many_clients("n:1 threaded-actor calls async", Server, 1, max_concurrency=16)
many_clients("n:n actor calls async", Server, CLIENTS)


@rate("n:n actor calls with arg async")
def n_to_n_actors_with_arg() -> Iterator[Operation]:
    with contextlib.ExitStack() as stack:
        pairs = [stack.enter_context(running(Server, 1)) for _ in range(CLIENTS)]
        clients = [stack.enter_context(running(Client, 1, servers))[0] for servers in pairs]
        yield counted(CLIENTS * BATCH, lambda: call_clients(clients, "call_servers_with_arg", BATCH))


one_client("1:1 async-actor calls sync", AsyncServer, call_one)
one_client("1:1 async-actor calls async", AsyncServer, call_batch)
one_client("1:1 async-actor calls with args async", AsyncServer, call_batch, 0)
one_client("1:n async-actor calls async", AsyncServer, call_batch, count=CLIENTS)
many_clients("n:n async-actor calls async", AsyncServer, CLIENTS)


def actor_life() -> None:
    with running(Server, 1):
        pass


simple_rate("actor create, call and kill", 1, actor_life)


@reading("20 actors created")
def twenty_actors() -> Iterator[Operation]:
    def create() -> float:
        began = time.perf_counter()
        with running(Server, 20):
            return time.perf_counter() - began

    yield create


@reading("500 actors created, called and killed", timeout_s=600.0, huge=True)
def five_hundred_actors() -> Iterator[Operation]:
    def live() -> None:
        with running(Server, 500):  # which calls each, and kills it
            pass

    yield timed(live)


# --- placement groups, and many at once -------------------------------------------------------------------


@rate("placement group create/removal")
def placement_groups() -> Iterator[Operation]:
    groups_of = importlib.import_module("ray.util.placement_group")  # not at the top: a Ray may lack it

    def create_and_remove() -> None:
        groups = [groups_of.placement_group([{"CPU": 0.01}]) for _ in range(50)]
        for group in groups:
            if not group.wait(timeout_seconds=30):
                raise RuntimeError("a placement group was not ready within 30 s")
        for group in groups:
            groups_of.remove_placement_group(group)

    yield counted(50, create_and_remove)


def run_tasks(count: int) -> None:
    ray.get([small_value.remote() for _ in range(count)])


simple_reading("10k ref args to one task", lambda refs: ray.get(count_arguments.remote(*refs)), lambda: stored(10_000))
simple_reading(
    "3k returns of one task",
    lambda task: ray.get(task.remote(3000)),
    lambda: count_to.options(num_returns=3000),
)
simple_reading("10k store objects in one get", ray.get, lambda: stored(10_000))
simple_reading("100k queued tasks", run_tasks, lambda: 100_000, timeout_s=300.0)
simple_reading("1M queued tasks", run_tasks, lambda: 1_000_000, timeout_s=1800.0, huge=True)


# --- starting, in processes of their own ------------------------------------------------------------------


def run_python(*arguments: str) -> str:
    # -P: the folder of this file must not come before the standard library.
    done = subprocess.run([sys.executable, "-P", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last_line = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise RuntimeError(f"the probe ended with code {done.returncode}: {last_line}")
    return done.stdout.strip().splitlines()[-1]


PROBES = Path(__file__).with_name("ray_perf_probes.py")


@functools.cache
def probe(name: str, number: int) -> dict[str, float]:
    """The readings of one fresh process; `number` tells runs apart, so that workloads share them."""
    readings: dict[str, float] = json.loads(run_python(str(PROBES), name))
    return readings


def probe_readings(name: str, key: str) -> Iterator[Operation]:
    numbers = itertools.count()
    yield lambda: probe(name, next(numbers))[key]


@reading("import ray time", needs_cluster=False)
def import_time() -> Iterator[Operation]:
    code = "import time; began = time.perf_counter(); import ray; print(time.perf_counter() - began)"
    run_python("-c", code)  # the first import may compile and read from disk
    yield lambda: float(run_python("-c", code))


for name, unit, source, key in (
    ("ray.init time", "seconds", "startup", "init_s"),
    ("first task time", "seconds", "startup", "first_task_s"),
    ("ray.init and first task time", "seconds", "startup", "first_result_s"),
    ("ray.shutdown time", "seconds", "startup", "shutdown_s"),
    ("idle cluster processes", "processes", "memory", "cluster_processes"),
    ("idle cluster memory private", "MiB", "memory", "cluster_private"),
    ("idle cluster memory PSS", "MiB", "memory", "cluster_pss"),
    ("idle worker memory private", "MiB", "memory", "worker_private"),
    ("idle worker memory PSS", "MiB", "memory", "worker_pss"),
    ("idle actor memory private", "MiB", "actors", "actor_private"),
    ("idle actor memory PSS", "MiB", "actors", "actor_pss"),
    ("memory of a live ref", "KiB", "counts", "live_ref"),
    ("memory of a queued task", "KiB", "counts", "queued_task"),
):
    reading(name, unit=unit, needs_cluster=False)(functools.partial(probe_readings, source, key))


# --- the command ------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Report:
    """What the JSON file holds: rewritten after each workload, so that a killed run leaves what it had."""

    environment: dict[str, object]
    running: str | None = None
    results: list[Result] = field(default_factory=list)

    def write(self, path: Path) -> None:
        scratch = path.with_suffix(".partial")
        scratch.write_text(json.dumps(asdict(self), indent=1))
        scratch.replace(path)


def environment(plan: Plan) -> dict[str, object]:
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "ray": ray.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": CPUS,
        "memory_gib": round(memory_bytes / 2**30, 1),
        "load_average": os.getloadavg()[0],  # well above zero: something else was running
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "plan": asdict(plan),
    }


def run_suite(workloads: Sequence[Workload], plan: Plan, timeout_s: float | None, json_path: Path | None) -> Report:
    report = Report(environment(plan))
    for workload in workloads:
        report.running = workload.name
        if json_path:
            report.write(json_path)
        result = run_workload(workload, plan, timeout_s)
        print(result.line(), flush=True)
        report.results.append(result)
    report.running = None
    if json_path:
        report.write(json_path)
    return report


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    about = "Measure this Ray on this machine; each line is the median of a workload's repeats."
    parser = argparse.ArgumentParser(prog="ray microbenchmark", description=about)
    add = parser.add_argument
    add("--only", default="", metavar="PATTERN", help="the workloads whose name matches this regex")
    add("--exclude", action="append", default=[], metavar="NAME", help="leave this one out; repeatable")
    add("--quick", action="store_true", help="measure shorter and with fewer repeats")
    add("--huge", action="store_true", help="the workloads that take minutes, too")
    add("--json", type=Path, metavar="FILE", help="write all samples there, after each workload")
    add("--timeout", type=float, metavar="SECONDS", help="for each workload, instead of its own")
    add("--temp-dir", metavar="DIR", help="for the session folders of the clusters it starts")
    add("--list", action="store_true", help="print the names of the workloads and stop")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the suite; 0 also when some workloads are unsupported, 2 when none matches."""
    arguments = parse_arguments(sys.argv[1:] if argv is None else argv)
    if arguments.temp_dir:
        os.environ["RAY_PERF_TEMP_DIR"] = os.path.abspath(arguments.temp_dir)
    workloads = [
        workload
        for workload in WORKLOADS
        if re.search(arguments.only, workload.name)
        and workload.name not in arguments.exclude
        and (arguments.huge or not workload.huge)
    ]
    if not workloads:
        print(f"no workload matches {arguments.only!r}; --list prints their names", file=sys.stderr)
        return 2
    if arguments.list:
        print("\n".join(workload.name for workload in workloads))
        return 0
    try:
        run_suite(workloads, QUICK if arguments.quick else FULL, arguments.timeout, arguments.json)
    finally:
        ray.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
