"""What simulated drivers do: things that users do, drawn from the seed, each with what must come of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import TYPE_CHECKING, Any

from ray._core.common import errors
from ray._core.common import messages as m
from simulation.core import NAMESPACE, Failure, SimCore
from simulation.executor import PlannedError
from simulation.loop import Violation

if TYPE_CHECKING:
    from simulation.scenario import Scenario

SLEEPS_S = (0.0, 0.0005, 0.003, 0.015, 0.05, 0.4)
CPU = 10_000
LOSSES = (errors.WorkerCrashedError, errors.NodeDiedError, errors.OwnerDiedError, errors.ObjectLostError)
"""What a task may end with when processes die."""
ACTOR_LOSSES = (errors.ActorDiedError, errors.ActorUnavailableError)


def cause_of(error: BaseException) -> BaseException:
    """What lies behind errors of tasks, and of tasks that took those for arguments."""
    while isinstance(error, errors.RayTaskError) and error.cause is not None:
        error = error.cause
    return error


class Program:
    """One driver's work. `is_over` once all of it has come to the end that it must come to."""

    def __init__(self, scenario: Scenario, name: str, rng: Random) -> None:
        self._scenario, self.name, self._rng = scenario, name, rng
        self.is_over = False
        self.doing: dict[str, int] = {}
        """What has begun and not ended, for whoever looks why it takes so long."""
        self._token = 0
        kinds: list[Callable[[SimCore, Random], Awaitable[None]]] = [
            self._tasks,
            self._tasks,
            self._chain,
            self._nested,
            self._actor,
            self._actor,
            self._named_actor,
            self._group,
            self._keys,
            self._lending,
        ]
        self._actions = [
            (rng.choice(kinds), Random(rng.random()), rng.random() * 2.0) for _ in range(rng.randint(2, 6))
        ]

    def __repr__(self) -> str:
        return f"<Program {self.name} {'over' if self.is_over else self.doing}>"

    async def run(self, core: SimCore) -> None:
        async def one(action: Callable[[SimCore, Random], Awaitable[None]], rng: Random, delay_s: float) -> None:
            await asyncio.sleep(delay_s)
            self.doing[action.__name__] = self.doing.get(action.__name__, 0) + 1
            self._scenario.loop.tell(f"{self.name} begins {action.__name__}")
            await action(core, rng)
            self.doing[action.__name__] -= 1
            if not self.doing[action.__name__]:
                del self.doing[action.__name__]
            self._scenario.loop.tell(f"{self.name} has ended {action.__name__}")

        await asyncio.gather(*(one(*each) for each in self._actions))
        await self._let_go(core)
        self.is_over = True
        self._scenario.loop.kill(core.process, 0)

    async def _let_go(self, core: SimCore) -> None:
        """The program holds no ref any more: soon the process owns no object, and nobody borrows any."""
        for _ in range(200):
            core.refs.drain()
            if not (core.objects or core.submitter.tasks or core.lending._lent_to):
                return
            await asyncio.sleep(0.3)
            await self._stop_if_lost(core)
        left = {key.hex()[:8]: (entry.local, entry.held, entry.lent) for key, entry in core.objects.items()}
        raise Violation(f"{self.name} still has {left} (refs, holders, borrowers) and {core.lending!r}")

    # ---------------------------------------------------------- pieces

    def _plan(self, rng: Random, **more: Any) -> dict[str, Any]:
        self._token += 1
        return {"token": self._token, "sleep": rng.choice(SLEEPS_S) * rng.random(), **more}

    async def _outcome(self, core: SimCore, ref: Any) -> Any:
        """The value, or the error."""
        try:
            return await core.get_one(ref)
        except errors.RayError as error:
            await self._stop_if_lost(core)
            return error.with_traceback(None)  # whose frames hold refs

    async def _stop_if_lost(self, core: SimCore) -> None:
        """A driver whose job the cluster has given up need not be served; the scenario ends it soon."""
        if self._scenario.lost(core):
            await asyncio.get_running_loop().create_future()

    def _judge(self, outcome: Any, expected: Any, may_fail: bool, losses: tuple[type[BaseException], ...]) -> None:
        if isinstance(outcome, BaseException):
            error = cause_of(outcome)
            if not may_fail or not isinstance(error, losses):
                raise Violation(f"{self.name}: {type(error).__name__} instead of {expected!r}: {error}")
        elif outcome != expected:
            raise Violation(f"{self.name}: {outcome!r} instead of {expected!r}")

    def _options(self, rng: Random) -> dict[str, Any]:
        """Where tasks go and how often they are tried."""
        needs = rng.choice([{"CPU": CPU}, {"CPU": CPU}, {"CPU": CPU // 2}, {"CPU": 2 * CPU}, {"CPU": CPU, "tool": CPU}])
        needs = {name: units for name, units in needs.items() if self._scenario.has(name, units)} or {"CPU": CPU}
        strategy = None
        choice = rng.random()
        if choice < 0.2:
            strategy = m.Strategy("SPREAD")
        elif choice < 0.3:
            node = self._scenario.cluster.nodes[rng.choice(sorted(self._scenario.cluster.nodes))]
            strategy = m.Strategy("NODE_AFFINITY", node_id=node.node_id, soft=True)
        return {"resources": needs, "strategy": strategy, "max_retries": rng.choice([0, 3, -1, -1])}

    def _start(self, core: SimCore, plan: dict[str, Any], options: dict[str, Any], *args: Any) -> Any:
        retries = options["max_retries"]
        plan = {**plan, "needs": options["resources"]}
        if retries >= 0:
            plan["runs"] = 1 + retries
        return core.task(plan, *args, **options)

    # ---------------------------------------------------------- tasks

    async def _tasks(self, core: SimCore, rng: Random) -> None:
        """Independent tasks; some fail, some take their worker with them."""
        options = self._options(rng)
        retries = options["max_retries"]
        plans, refs = [], []
        for _ in range(rng.randint(1, 30)):
            plan = self._plan(rng)
            if rng.random() < 0.05:
                plan["error"] = True
            elif rng.random() < 0.05 and self._scenario.has_crashes:
                plan["crash"] = rng.randint(1, 2)
            plans.append(plan)
            refs.append(self._start(core, plan, options))
            if rng.random() < 0.1:
                await asyncio.sleep(rng.random() * 0.1)
        for plan, ref in zip(plans, refs, strict=True):
            # A crash also resets connections: then whatever had been pushed to that worker may have run.
            crashes = max(each.get("crash", 0) for each in plans)
            may_fail = retries != -1 and (self._scenario.is_rough or crashes > retries)
            losses = LOSSES
            if plan.get("error"):
                may_fail, losses = True, (*LOSSES, PlannedError)
            self._judge(await self._outcome(core, ref), plan["token"], may_fail, losses)

    async def _chain(self, core: SimCore, rng: Random) -> None:
        """Each task takes the result of the one before."""
        options = self._options(rng)
        expected, ref = 0, None
        for _ in range(rng.randint(2, 8)):
            plan = self._plan(rng)
            expected += plan["token"]
            ref = self._start(core, plan, options, *([] if ref is None else [ref]))
        may_fail = options["max_retries"] != -1 and self._scenario.is_rough
        self._judge(await self._outcome(core, ref), expected, may_fail, LOSSES)

    async def _nested(self, core: SimCore, rng: Random) -> None:
        """Tasks that wait for tasks of their own, and meanwhile lend their CPU."""
        retries = rng.choice([0, -1])
        options = {"resources": {"CPU": CPU}, "strategy": None, "max_retries": retries}
        below = {"resources": {"CPU": CPU}, "max_retries": -1}
        plans, refs = [], []
        for _ in range(rng.randint(1, 4)):
            children = [self._plan(rng, needs={"CPU": CPU}) for _ in range(rng.randint(1, 3))]
            if rng.random() < 0.3:
                children[0]["children"] = [self._plan(rng, needs={"CPU": CPU})]
                children[0]["options"] = below
            plan = self._plan(rng, children=children, options=below)
            plans.append(plan)
            refs.append(self._start(core, plan, options))
        for plan, ref in zip(plans, refs, strict=True):
            may_fail = retries != -1 and self._scenario.is_rough
            self._judge(await self._outcome(core, ref), _sum_of(plan), may_fail, LOSSES)

    # ---------------------------------------------------------- actors

    async def _actor(self, core: SimCore, rng: Random, name: str = "", detached: bool = False) -> None:
        restarts, retries = rng.choice([0, 2, -1, -1]), rng.choice([0, -1, -1])
        held = {} if detached or rng.random() < 0.6 else {"CPU": CPU}
        plan = self._plan(rng)
        if rng.random() < 0.15 and self._scenario.has_crashes:
            plan["crash"] = 1  # the first incarnation dies in its constructor
        options: dict[str, Any] = {"max_restarts": restarts, "max_task_retries": retries, "held": held}
        try:
            handle = await core.create_actor(plan, name=name, lifetime_detached=detached, **options)
        except Failure as failure:
            raise Violation(f"{self.name}: an actor was refused: {failure}") from failure
        if detached:
            self._scenario.detached[name] = handle.actor_id, restarts == -1
        survives = restarts == -1 and retries == -1
        is_mortal = self._scenario.is_rough or (plan.get("crash", 0) > 0 and not survives)
        calls, refs = [], []
        for _ in range(rng.randint(1, 12)):
            call = self._plan(rng)
            if retries == 0:
                call["runs"] = 1
            calls.append(call)
            refs.append(core.call_actor(handle, "add", call))
            if rng.random() < 0.2:
                await asyncio.sleep(rng.random() * 0.3)
        last = (-1, 0)
        for call, ref in zip(calls, refs, strict=True):
            outcome = await self._outcome(core, ref)
            if isinstance(outcome, BaseException):
                self._judge(outcome, call["token"], is_mortal and not survives, ACTOR_LOSSES)
                continue
            token, incarnation, count = outcome
            if token != call["token"] or (incarnation, count) <= last:
                raise Violation(f"{self.name}: call {call['token']} was answered by {outcome} after {last}.")
            last = (incarnation, count)
        refs.clear()
        ref = None
        if not detached and rng.random() < 0.3:
            await core.request(core.gcs, m.KillActor(actor_id=handle.actor_id, no_restart=True, cause="killed"))

    async def _named_actor(self, core: SimCore, rng: Random) -> None:
        name, detached = f"{self.name}-{rng.getrandbits(24)}", rng.random() < 0.6
        await self._actor(core, rng, name, detached)

    # ---------------------------------------------------------- placement groups

    async def _group(self, core: SimCore, rng: Random) -> None:
        scenario = self._scenario
        strategy = rng.choice(["PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD"])
        count = rng.randint(1, 3)
        count = min(count, scenario.most_cpus if strategy == "STRICT_PACK" else 3)
        count = min(count, len(scenario.cluster.nodes) if strategy == "STRICT_SPREAD" else scenario.all_cpus)
        group_id = rng.randbytes(14) + core.job_id
        # What only the end of the job removes must not be what others wait for.
        is_left = rng.random() < 0.2
        needs = {"spare": CPU} if is_left else {"CPU": CPU}
        bundles = [m.BundleSpec(index, needs) for index in range(count)]
        info = m.PlacementGroupInfo(group_id, core.job_id, "", NAMESPACE, strategy, bundles, False, b"", "PENDING", [])
        await core.request(core.gcs, m.CreateGroup(info=info))
        found: m.PlacementGroupInfo = (await core.request(core.gcs, m.GetGroup(group_id=group_id, wait=True))).info
        await self._stop_if_lost(core)
        if found.state != "CREATED" or not all(found.nodes):
            raise Violation(f"{self.name}: the group that was waited for is {found.state} at {found.nodes}")
        places = len(set(found.nodes))
        if (strategy == "STRICT_PACK" and places != 1) or (strategy == "STRICT_SPREAD" and places != count):
            raise Violation(f"{self.name}: {strategy} of {count} lies on {places} nodes")
        where = m.Strategy("PLACEMENT_GROUP", placement_group_id=group_id, bundle_index=rng.choice([-1, count - 1]))
        options = {"resources": needs, "strategy": where, "max_retries": -1}
        plans = [self._plan(rng) for _ in range(rng.randint(0, 6))]
        refs = [self._start(core, plan, options) for plan in plans]
        is_early = not is_left and rng.random() < 0.3
        scenario.ends_workers |= not is_left and bool(plans)  # idle ones too, whose lease lingers
        if is_early:
            await asyncio.sleep(rng.random() * 0.05)
            await core.request(core.gcs, m.RemoveGroup(group_id=group_id))
        for plan, ref in zip(plans, refs, strict=True):
            outcome = await self._outcome(core, ref)
            self._judge(outcome, plan["token"], is_early, (errors.TaskPlacementGroupRemoved, *LOSSES))
        if not is_early and not is_left:
            await core.request(core.gcs, m.RemoveGroup(group_id=group_id))

    # ---------------------------------------------------------- key-value

    async def _keys(self, core: SimCore, rng: Random) -> None:
        """Nobody else writes these keys: what was acknowledged is there."""
        base = rng.randbytes(6)
        for number in range(rng.randint(2, 10)):
            key, value = base + bytes([rng.randrange(3)]), b"%d" % number
            kept = self._scenario.keys
            if rng.random() < 0.2:
                kept.pop(key, None)
                await core.request(core.gcs, m.KvDel(namespace="sim", key=key))
                self._scenario.deleted_keys.add(key)
            else:
                kept.pop(key, None)
                self._scenario.deleted_keys.discard(key)
                await core.request(core.gcs, m.KvPut(namespace="sim", key=key, value=value))
                kept[key] = value
            if rng.random() < 0.5:
                found = (await core.request(core.gcs, m.KvGet(namespace="sim", key=key))).value
                if found != kept.get(key):
                    raise Violation(f"{self.name}: key {key.hex()} is {found!r} and was set to {kept.get(key)!r}")
            await asyncio.sleep(rng.random() * 0.3)

    # ---------------------------------------------------------- refs

    async def _lending(self, core: SimCore, rng: Random) -> None:
        """Refs travel in arguments, results and actors, and stay readable as long as anybody has them."""
        handle = await core.create_actor(self._plan(rng), held={})
        options = {"resources": {"CPU": CPU}, "strategy": None, "max_retries": 0}
        for _ in range(rng.randint(1, 4)):
            token = self._token + 1
            plan = self._plan(rng)
            refs = [self._start(core, plan, options), core.put_value(7)]
            total = token + 7
            opened = self._start(core, self._plan(rng, open=True), options, refs)
            kept = core.call_actor(handle, "hold", self._plan(rng), *[[ref] for ref in refs])
            makes = self._plan(rng, returns_refs=True, children=[self._plan(rng, needs={"CPU": CPU})], put=11)
            made = self._start(core, makes, options)
            refs.clear()
            losses = (*LOSSES, *ACTOR_LOSSES)
            self._judge(await self._outcome(core, opened), token + 1 + total, self._scenario.may_lose, losses)
            self._judge(await self._outcome(core, kept), token + 2, self._scenario.may_lose, losses)
            inner = await self._outcome(core, made)
            if isinstance(inner, BaseException):
                self._judge(inner, "refs", self._scenario.may_lose, losses)
            else:
                values = [await self._outcome(core, ref) for ref in inner[1]]
                self._judge(values[0], makes["children"][0]["token"], self._scenario.may_lose, losses)
                self._judge(values[1], 11, self._scenario.may_lose, losses)
            del inner
            given = await self._outcome(core, core.call_actor(handle, "give", self._plan(rng)))
            if isinstance(given, BaseException):
                self._judge(given, "refs", self._scenario.may_lose, losses)
                continue
            for lists, expected in zip(given[1], (token, 7), strict=not self._scenario.may_lose):
                self._judge(await self._outcome(core, lists[0]), expected, self._scenario.may_lose, losses)
            del given


def _sum_of(plan: dict[str, Any]) -> int:
    total: int = plan["token"] + sum(map(_sum_of, plan.get("children", ())))
    return total
