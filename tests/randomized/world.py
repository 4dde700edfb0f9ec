"""A model of what must come of random operations on a cluster.

Every ref is a `Job` with all outcomes that it may have: one number if all goes well, and the names of the errors that
what was done to it (a cancel, a kill, a node that was removed) allows. What came is compared in the order of creation:
once the outcome of an argument is known, what depends on it has no choice any more.
"""

import dataclasses
import time

import workloads

import ray
from ray._core.common import messages as m
from ray._core.common.resources import to_float
from ray._core.worker import object_ref
from ray.exceptions import GetTimeoutError, RayTaskError
from ray.util import placement_group, remove_placement_group
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy, PlacementGroupSchedulingStrategy
from ray.util.state import list_tasks

HANG_S = 60
NODE_ERRORS = {"NodeDiedError", "WorkerCrashedError"}
ACTOR_ERRORS = {"ActorDiedError", "ActorUnavailableError"}


def root_of(error):
    """Name of the class of the error with which it began."""
    while isinstance(error, RayTaskError) and error.cause is not None and error.cause is not error:
        error = error.cause
    return type(error).__name__


@dataclasses.dataclass(eq=False)
class Job:
    """One ref. `number`: what it stands for if nothing goes wrong. `outcome`: a number, or the name of an error."""

    what: str
    ref: object
    number: int
    needs: list = dataclasses.field(default_factory=list)
    must_fail: str = ""
    may_fail: set = dataclasses.field(default_factory=set)
    is_retried: bool = True
    actor: object = None
    tells: bool = False
    """A call whose value tells of its actor, too; it is nobody's argument."""
    outcome: object = None

    def errors(self):
        """All that it may fail with, on account of its arguments too."""
        if self.outcome is not None:
            return {self.outcome} if isinstance(self.outcome, str) else set()
        return self.may_fail.union({self.must_fail} - {""}, *(need.errors() for need in self.needs))

    def check(self, outcome):
        if isinstance(outcome, str):
            allowed = self.errors()
            assert outcome in allowed, f"{self} failed with {outcome}; allowed: {allowed or 'nothing'}"
        else:
            failed = [need for need in self.needs if isinstance(need.outcome, str)]
            assert not self.must_fail and not failed, f"{self} gave {outcome}, although {failed} failed"
            assert outcome == self.number, f"{self} gave {outcome}"
        self.outcome = outcome

    def __str__(self):
        return f"<{self.what} -> {self.number}, takes {[need.what for need in self.needs]}>"


@dataclasses.dataclass(eq=False)
class Actor:
    what: str
    handle: object
    restarts: bool
    retries: bool
    in_order: bool
    is_killed: bool = False
    is_disturbed: bool = False
    """It lost a process, or may have."""
    node: object = None
    jobs: list = dataclasses.field(default_factory=list)
    calls: dict = dataclasses.field(default_factory=dict)
    """What each incarnation has told of the number of its calls."""

    def lost(self):
        """Its process has ended, or may have."""
        self.is_disturbed = True
        if not self.retries or not self.restarts:
            self.allow(ACTOR_ERRORS)

    def killed(self):
        self.is_killed = True
        self.allow({"ActorDiedError"} | (ACTOR_ERRORS if self.is_disturbed else set()))

    def allow(self, errors):
        for job in self.jobs:
            job.may_fail |= errors

    def check_order(self, told):
        """Each incarnation counts its calls; with calls in order, they are numbered so."""
        name, calls, _ = told
        known = self.calls.setdefault(name, [])
        assert calls not in known, f"{self.what} counted to {calls} twice"
        assert not self.in_order or not known or calls > known[-1], f"{self.what}: call {calls} behind {known[-1]}"
        known.append(calls)
        assert self.is_disturbed or len(self.calls) == 1, f"{self.what} is a new process, and nobody ended the old one"


@dataclasses.dataclass(eq=False)
class Group:
    handle: object
    cpus: float
    jobs: list = dataclasses.field(default_factory=list)


class World:
    """Operations by name. `flags`: a directory for what shall happen once; `log`: told of each operation."""

    WEIGHTS = {
        "plain": 10, "slow": 4, "computing": 3, "large": 4, "failing": 3, "nested": 4, "fan": 3, "borrow": 3,
        "split": 2, "stream": 2, "own": 3, "box": 2, "put": 4, "crash": 1, "cancel": 4, "get": 4, "wait": 4, "drop": 5,
        "employ": 1, "new_actor": 3, "call": 12, "crash_actor": 1, "kill_actor": 1, "drop_actor": 1, "named": 1,
        "new_group": 2, "remove_group": 1, "add_node": 1, "remove_node": 1,
    }  # fmt: skip
    MAX_NODES, MAX_ACTORS, MAX_GROUPS = 2, 5, 2

    def __init__(self, cluster, rng, flags, log):
        self.cluster, self.rng, self.flags, self.log = cluster, rng, flags, log
        self.jobs, self.done = [], []
        self.actors, self.groups, self.nodes = [], [], []
        self.leaving = []  # actors that run what they were asked for, and end
        self.streams, self.boxes = [], []
        self.count = 0
        self.has_lost_workers = False

    def step(self):
        names, weights = zip(*self.WEIGHTS.items(), strict=True)
        [name] = self.rng.choices(names, weights)
        self.count += 1
        getattr(self, f"op_{name}")()

    # ---------------------------------------------------------- parts of operations

    def add(self, job):
        self.log(job.what)
        self.jobs.append(job)
        return job

    def salt(self):
        return self.rng.randrange(workloads.PRIME)

    def pick(self, most=2):
        """Jobs whose refs become arguments."""
        candidates = [job for job in self.done[-10:] + self.jobs[-30:] if job.ref is not None and not job.tells]
        return self.rng.sample(candidates, min(self.rng.choice([0, 0, 1, most]), len(candidates)))

    def options(self):
        """Where a task may run, and what it takes."""
        rng, options = self.rng, {"max_retries": self.rng.choice([-1, -1, 0])}
        kind = rng.randrange(10)
        if kind == 0:
            options["num_cpus"] = rng.choice([0, 0.25, 0.5])
        elif kind == 1:
            options["scheduling_strategy"] = "SPREAD"
        elif kind == 2:
            node = rng.choice([self.cluster.head_node, *self.nodes])
            options["scheduling_strategy"] = NodeAffinitySchedulingStrategy(node.node_id, soft=True)
        elif kind == 3:
            options["memory"] = rng.randrange(1, 1000)
        elif kind == 4:
            options["priority"] = rng.randrange(-2, 3)
        return options

    def may_time_out(self):
        """A `timeout=`, now and then, and the error that it allows."""
        if self.rng.random() > 0.05:
            return {}, set()
        return {"timeout": self.rng.choice([0.001, 0.03, 0.3])}, {"TaskTimeoutError"}

    def start(
        self, what, function, *head, number=lambda mixed, _: mixed, may_lose=False, boxed=False, returns=1, must_fail=""
    ):
        """Submit a task of `function(salt, *head, *arguments)`.

        Args:
            number: of the mixed arguments and the salt: what the task gives.
            may_lose: its result can be lost with a node, so it must be one that can be made again, at any time: in a
                group it could not be once that is removed.
            boxed: the arguments are passed in a list, and stay refs.
        """
        salt, needs, options = self.salt(), self.pick(), self.options()
        if may_lose:
            options["max_retries"] = -1
        if self.rng.random() < 0.05:
            options.pop("scheduling_strategy", None)
            options.setdefault("num_returns", returns)
            function = ray.remote(max_calls=self.rng.randrange(1, 3))(function._function)
        group = None
        if self.groups and not may_lose and "scheduling_strategy" not in options and "memory" not in options:
            group = self.rng.choice([None, *self.groups])
        if group is not None:
            options["scheduling_strategy"] = PlacementGroupSchedulingStrategy(group.handle)
            options["num_cpus"] = min(options.get("num_cpus", 1), group.cpus)
        refs = [need.ref for need in needs]
        timeout, may_fail = self.may_time_out()
        options.update(timeout)
        ref = function.options(**options).remote(salt, *head, *([refs] if boxed else refs))
        shown = {name: value for name, value in options.items() if name != "scheduling_strategy"}
        where = options.get("scheduling_strategy", "")
        where = where if isinstance(where, str) else type(where).__name__.removesuffix("SchedulingStrategy")
        mixed = workloads.mix(salt, [need.number for need in needs])
        is_retried = options["max_retries"] != 0
        job = Job(
            f"{what} {self.count} {shown} {where}", ref, number(mixed, salt), needs, must_fail, may_fail, is_retried
        )
        if group is not None:
            group.jobs.append(job)
        return self.add(job)

    # ---------------------------------------------------------- tasks and objects

    def op_plain(self):
        for _ in range(self.rng.choice([1, 1, 3, 20])):
            self.start("plain", workloads.plain)

    def op_slow(self):
        self.start("slow", workloads.slow, self.rng.random() * 0.1)

    def op_computing(self):
        self.start("computing", workloads.computing, self.rng.random() * 0.05)

    def op_large(self):
        self.start("large", workloads.making_large, may_lose=True)

    def op_failing(self):
        self.start("failing", workloads.failing, must_fail="ValueError")

    def op_nested(self):
        self.start("nested", workloads.nested, self.rng.randrange(1, 4))

    def op_fan(self):
        count = self.rng.randrange(1, 6)
        self.start(
            "fan",
            workloads.fanning_out,
            count,
            number=lambda mixed, salt: workloads.mix(salt, [workloads.mix(mixed, [n]) for n in range(count)]),
        )

    def op_own(self):
        count = self.rng.randrange(1, 8)
        self.start("own", workloads.owning, count, number=lambda mixed, salt: workloads.owned(salt, count, mixed))

    def op_employ(self):
        calls = self.rng.randrange(1, 5)
        self.start(
            "employ",
            workloads.employing,
            calls,
            number=lambda mixed, salt: workloads.mix(mixed, [workloads.mix(salt, [n]) for n in range(calls)]),
        )

    def op_borrow(self):
        self.start("borrow", workloads.borrowing, boxed=True)

    def op_split(self):
        job = self.start("split", workloads.splitting, may_lose=True, returns=2)
        first, second = job.ref
        job.ref = first
        self.add(dataclasses.replace(job, what=f"{job.what} second", ref=second, number=job.number + 1))
        self.jobs[-1].may_fail = job.may_fail  # what is done to one is done to the other

    def op_put(self):
        number = self.salt()
        value = workloads.large(number) if self.rng.random() < 0.4 else number
        self.add(Job(f"put {self.count}", ray.put(value), number))

    def op_stream(self):
        salt, count = self.salt(), self.rng.randrange(0, 9)
        stream = workloads.streaming.options(max_retries=-1).remote(salt, count)
        taken = [next(stream) for _ in range(self.rng.randrange(count + 1))]
        self.log(f"stream {self.count}, {len(taken)} of {count} taken")
        for number, ref in enumerate(taken):
            self.add(Job(f"stream {self.count} item {number}", ref, salt + number))
        if self.rng.random() < 0.7:
            self.streams.append((stream, salt, len(taken), count))

    def op_box(self):
        job = self.start("box", workloads.boxing, may_lose=True)
        self.jobs.remove(job)
        self.boxes.append(job)

    def op_crash(self):
        self.has_lost_workers = True
        salt, needs, flag = self.salt(), self.pick(), f"{self.flags}/crash{self.count}"
        ref = workloads.crashing_once.options(max_retries=-1).remote(flag, salt, *(need.ref for need in needs))
        self.add(Job(f"crash {self.count}", ref, workloads.mix(salt, [need.number for need in needs]), needs))

    def op_cancel(self):
        jobs = [job for job in self.jobs if job.ref is not None and not job.what.startswith(("put", "stream"))]
        if not jobs:
            return
        job = self.rng.choice(jobs)
        force = job.actor is None and self.rng.random() < 0.3
        self.log(f"cancel {'by force ' * force}{job.what}")
        job.may_fail.add("TaskCancelledError")
        if force:
            self.has_lost_workers = True
            job.may_fail.add("WorkerCrashedError")
        ray.cancel(job.ref, force=force)

    def op_get(self):
        jobs = [job for job in self.jobs if job.ref is not None]
        if jobs:
            job = self.rng.choice(jobs)
            self.log(f"get {job.what}")
            try:
                ray.get(job.ref, timeout=self.rng.choice([0, 0.01, 0.1]))
            except GetTimeoutError:
                pass
            except Exception as error:
                assert root_of(error) in job.errors(), f"{job} failed with {error!r}; allowed: {job.errors()}"

    def op_wait(self):
        refs = [job.ref for job in self.rng.sample(self.jobs, min(len(self.jobs), 12)) if job.ref is not None]
        if not refs:
            return
        number = self.rng.randrange(1, len(refs) + 1)
        self.log(f"wait for {number} of {len(refs)}")
        ready, rest = ray.wait(refs, num_returns=number, timeout=self.rng.choice([0, 0.01, 0.1]))
        assert len(ready) <= number
        assert [ref for ref in refs if ref in set(ready)] == ready, "not in the order of the list"
        assert [ref for ref in refs if ref not in set(ready)] == rest
        again, _ = ray.wait(refs, num_returns=len(refs), timeout=0, fetch_local=False)
        assert set(ready) <= set(again), "what was ready is not any more"

    def op_drop(self):
        for job in self.rng.sample(self.jobs, min(len(self.jobs), 3)):
            job.ref = None
        for job in self.rng.sample(self.done, len(self.done) // 2):
            job.ref = None

    # ---------------------------------------------------------- actors

    def op_new_actor(self):
        if len(self.actors) >= self.MAX_ACTORS:
            return
        rng, options = self.rng, {"num_cpus": 0}
        restarts, retries = rng.random() < 0.6, rng.random() < 0.5
        options["max_restarts"] = -1 if restarts else 0
        options["max_task_retries"] = -1 if retries else 0
        kind = rng.choice(["plain", "plain", "threads", "async"])
        if kind == "threads":
            options["max_concurrency"] = 3
        if rng.random() < 0.3:
            options["name"] = f"actor{self.count}"
        if rng.random() < 0.3:
            options["scheduling_strategy"] = "SPREAD"
        made = ray.remote(workloads.AsyncCounter if kind == "async" else workloads.Counter)
        what = f"actor {self.count} {kind} restarts={restarts} retries={retries}"
        self.log(what)
        self.actors.append(Actor(what, made.options(**options).remote(), restarts, retries, kind == "plain"))

    def some_actor(self):
        living = [actor for actor in self.actors if not actor.is_killed]
        return self.rng.choice(living) if living else None

    def op_call(self):
        actor = self.some_actor()
        if actor is None:
            return
        for _ in range(self.rng.choice([1, 1, 5])):
            salt, needs = self.salt(), self.pick()
            tells = self.rng.random() < 0.5
            method = actor.handle.call if tells else actor.handle.number
            timeout, may_fail = self.may_time_out()
            bound = method.options(**timeout) if timeout else method
            job = Job(
                f"{'call' if tells else 'number'} {self.count} {timeout} of {actor.what}",
                bound.remote(salt, *(need.ref for need in needs)),
                workloads.mix(salt, [need.number for need in needs]),
                needs,
                may_fail=may_fail,
                is_retried=actor.retries and actor.restarts,
                actor=actor,
                tells=tells,
            )
            if actor.is_disturbed and not (actor.restarts and actor.retries):
                job.may_fail |= ACTOR_ERRORS
            actor.jobs.append(job)
            self.add(job)

    def op_crash_actor(self):
        actor = self.some_actor()
        if actor is None:
            return
        self.log(f"crash {actor.what}")
        actor.lost()
        actor.handle.crash_once.remote(f"{self.flags}/crash{self.count}")

    def op_kill_actor(self):
        actor = self.some_actor()
        if actor is None:
            return
        again = actor.restarts and self.rng.random() < 0.5
        self.log(f"kill {actor.what}, restart={again}")
        if again:
            actor.lost()
        else:
            actor.killed()
            self.leave(actor)
        ray.kill(actor.handle, no_restart=not again)

    def op_drop_actor(self):
        actor = self.some_actor()
        if actor is not None:
            self.log(f"drop the handle of {actor.what}")
            self.leave(actor)
            actor.handle = None

    def leave(self, actor):
        self.actors.remove(actor)
        self.leaving.append(actor)

    def op_named(self):
        """A name finds its actor as long as that lives."""
        for name in ray.util.list_named_actors():
            try:
                handle = ray.get_actor(name)
            except ValueError:  # it has ended between
                continue
            assert handle._actor_id is not None

    # ---------------------------------------------------------- groups and nodes

    def op_new_group(self):
        if len(self.groups) >= self.MAX_GROUPS:
            return
        bundles = self.rng.choice([[0.5], [1], [0.5, 0.5]])
        strategy = self.rng.choice(["PACK", "SPREAD", "STRICT_PACK"])
        self.log(f"new group {bundles} {strategy}")
        handle = placement_group([{"CPU": cpus} for cpus in bundles], strategy=strategy)
        self.groups.append(Group(handle, min(bundles)))

    def op_remove_group(self):
        if self.groups:
            self.remove_group(self.rng.choice(self.groups))

    def remove_group(self, group):
        self.log("remove a group")
        self.groups.remove(group)
        self.has_lost_workers = True
        for job in group.jobs:
            job.may_fail |= {"TaskPlacementGroupRemoved", "WorkerCrashedError"}
        remove_placement_group(group.handle)

    def op_add_node(self):
        # With a CPU more than all groups take: a task with affinity to a node waits for it, full or not.
        if len(self.nodes) < self.MAX_NODES:
            self.log("add a node")
            self.nodes.append(self.cluster.add_node(num_cpus=3, object_store_memory=80 << 20))

    def op_remove_node(self):
        if not self.nodes:
            return
        node = self.rng.choice(self.nodes)
        self.nodes.remove(node)
        graceful = self.rng.random() < 0.3
        self.log(f"remove node {node.node_id[:8]} {'gracefully' * graceful}")
        self.has_lost_workers = True
        for job in self.jobs:
            if not job.is_retried and job.actor is None:
                job.may_fail |= NODE_ERRORS
            if job.what.startswith("employ"):
                job.may_fail |= ACTOR_ERRORS
        for actor in self.actors + self.leaving:
            actor.lost()
        self.cluster.remove_node(node, allow_graceful=graceful)

    # ---------------------------------------------------------- looking at what came

    def outcome_of(self, ref):
        try:
            return ray.get(ref, timeout=HANG_S)
        except GetTimeoutError as error:
            raise AssertionError(f"a hang: {error}\n{self.tell(ref)}") from error
        except Exception as error:
            return root_of(error), error

    def tell(self, ref):
        """What this process knows of the way of a ref that does not come, and what the cluster has free."""
        core = object_ref._core
        with core.lock:
            entry, record = core.objects.get(ref.binary()), core.submitter.tasks.get(ref.binary()[:24])
            job = next((job for job in self.jobs if job.ref == ref), None)
            lines = [f"{job}", f"entry: value {entry and entry.value}, owner {entry and entry.owner}"]
            if record is not None:
                lines.append(
                    f"{record.template.name}: unresolved {record.unresolved}, lease {record.lease_id}, "
                    f"attempt {record.attempt}, cancelled {record.is_cancelled}, "
                    f"{core.submitter.state_of(record)}"
                )
                held = core.submitter.leases.held.get(record.lease_id)
                if record.actor is not None:
                    lines.append(f"{record.actor.queue} {record.actor.info} {record.actor.connection}")
                if held is not None:
                    lines.append(f"{held} {held.queue.leases}")
            lines += [f"{queue!r} {list(queue.leases.values())}" for queue in core.submitter._queues.values()]
        answer = core.ask_gcs(m.GetClusterResources())
        for view in answer.views:
            lines.append(f"node {view.node_id.hex()[:8]} {to_float(view.available)} of {to_float(view.total)}")
        lines += [f"{demand}" for demand in answer.demands]
        lines += [f"{task}" for task in list_tasks(limit=10_000) if task.state not in ("FINISHED", "FAILED")]
        return "\n".join(lines)

    def settle(self):
        """Wait for everything, and compare."""
        for group in list(self.groups):
            if not group.handle.wait(10):
                self.remove_group(group)
        for job in self.jobs:
            if job.ref is None:
                continue
            result = self.outcome_of(job.ref)
            if isinstance(result, tuple) and isinstance(result[1], Exception):
                try:
                    job.check(result[0])
                except AssertionError as error:
                    raise AssertionError(f"{error}\n{result[1]}") from result[1]
            elif isinstance(result, tuple):
                job.check(result[2])
                job.actor.check_order(result)
            else:
                job.check(workloads.number_of(result))
        self.settle_boxes()
        for stream, salt, taken, count in self.streams:
            items = [workloads.number_of(ray.get(ref, timeout=HANG_S)) for ref in stream]
            assert items == [salt + number for number in range(taken, count)]
        self.done = (self.done + self.jobs)[-40:]
        for group in self.groups:
            group.jobs.clear()
        for actor in self.actors:
            actor.jobs.clear()
        self.jobs, self.boxes, self.streams, self.leaving = [], [], [], []

    def settle_boxes(self):
        """Refs inside of values, owned by workers; they are lost with these."""
        for box in self.boxes:
            refs = self.outcome_of(box.ref)
            if isinstance(refs, tuple):
                box.check(refs[0])
                continue
            numbers = [box.number, workloads.mix(box.number, []), box.number]
            for ref, number in zip(refs, numbers, strict=True):
                result = self.outcome_of(ref)
                if isinstance(result, tuple):
                    assert result[0] == "OwnerDiedError" and self.has_lost_workers, f"{box}: {result[1]!r}"
                else:
                    assert workloads.number_of(result) == number, box

    def finish(self):
        """Give everything back."""
        self.settle()
        for group in list(self.groups):
            self.remove_group(group)
        for actor in self.actors:
            ray.kill(actor.handle)
        self.actors.clear()
        self.done.clear()


def wait_until(predicate, timeout_s=20):
    """Poll; the last value is returned, true or not."""
    deadline_at_s = time.monotonic() + timeout_s
    while not (value := predicate()) and time.monotonic() < deadline_at_s:
        time.sleep(0.02)
    return value
