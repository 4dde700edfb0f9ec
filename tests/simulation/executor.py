"""What a simulated worker does with what is pushed to it: the protocol of `worker.executor`, on virtual time.

Instead of user code it runs plans: values that say how long a task takes and what it does.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

import msgspec

from ray._core.common import messages as m
from ray._core.store import serialization
from ray._core.worker.actor_recipe import ActorRecipe
from ray._core.worker.invocation import Call, Invoker, current
from ray._core.worker.object_ref import ObjectRef

if TYPE_CHECKING:
    from simulation.core import SimCore

SLOW_S = 0.01
GRACE_S = 0.001


class PlannedError(Exception):
    """A plan says that its task fails."""


class _NoOutput:
    def flush(self) -> None: ...


class SimExecutor:
    def __init__(self, core: SimCore) -> None:
        self._core = core
        output: Any = _NoOutput()
        self.invoker = Invoker(core, output)
        self._templates: dict[Any, dict[int, m.TaskTemplate]] = {}
        self._queue: deque[tuple[Any, Any, m.TaskTemplate | None]] = deque()
        self.running: Call | None = None
        self._holding_up: Call | None = None
        self._is_busy = True  # until `open`: the process still registers
        self._exit: m.ExitWorker | None = None
        self._retires = self._has_served = False
        self.actor: m.ConstructActor | None = None
        self.count = 0
        self.kept: list[Any] = []
        """Refs that an actor was told to keep."""

    def open(self) -> None:
        """The process has registered; what was pushed meanwhile runs now."""
        self._is_busy = False
        self._go_on()

    # ---------------------------------------------------------- as the core worker sees it

    def received(self, connection: Any, message: Any) -> None:
        if isinstance(message, m.TaskTemplate):
            self._templates.setdefault(connection, {})[message.template_id] = message
        elif isinstance(message, m.ExitWorker):
            self._exit = message
            self._go_on()
        elif isinstance(message, m.RetireWorker):
            self._retires = self._retires or self._is_unneeded()
            if self._retires and self._core.submitter.leases.held:
                self._core.cluster.ledger.violated(f"{self._core.process.name} is to end, and still has leases.")
            connection.reply(message, m.Done() if self._retires else m.Failed(kind="needed", message="Others borrow."))
        elif isinstance(message, m.PushTask) and (self._retires or self._is_held_up()):
            connection.send(m.TasksReturned([message.task_id], blocked=True))
        elif isinstance(message, m.PushTask):
            template = self._templates[connection][message.template_id]
            self._queue.append((connection, message, template))
            self._has_served = True
            self._go_on()
        elif isinstance(message, m.ConstructActor) and self._has_served and not self._is_unneeded():
            connection.reply(message, m.Failed(kind="needed", message="Others borrow."))
        elif isinstance(message, m.ConstructActor):
            self._queue.append((connection, message, None))
            self._go_on()

    def _is_unneeded(self) -> bool:
        core = self._core
        core.refs.drain()
        core.submitter.leases.give_back_idle()
        has_work = self._is_busy or self._queue or core.submitter.tasks or self.invoker.unconfirmed
        return not (has_work or core.lending.has_borrowers())

    def connection_lost(self, connection: Any) -> None:
        self._templates.pop(connection, None)
        if self.actor is None:
            self._queue = deque(job for job in self._queue if job[0] is not connection or job[2] is None)

    def is_running_here(self) -> bool:
        return False  # nothing blocks; `get` below says what is to be said

    def cancel(self, request: m.CancelTask) -> None:
        for number, (connection, message, template) in enumerate(self._queue):
            if isinstance(message, m.PushTask) and message.task_id == request.task_id:
                assert template is not None
                del self._queue[number]
                self.invoker.refuse(Call(template, message.task_id, connection))
                return

    def expire(self, connection: Any, request: m.ExpireTask) -> None:
        call = next((each for each in self.invoker.running if each.task_id == request.task_id), None)
        started_us = max(int(call.start_s * 1e6), 1) if call is not None else 0  # plans are not interrupted
        connection.reply(request, m.TaskExpired(started_us=started_us))
        self.cancel(m.CancelTask(request.task_id, force=False, recursive=False))

    def _is_held_up(self) -> bool:
        call = self._holding_up
        return call is not None and call is self.running and not call.is_answered

    def hand_back(self) -> None:
        self._holding_up = self.running
        owners: dict[Any, list[bytes]] = {}
        for connection, message, _ in self._queue:
            owners.setdefault(connection, []).append(message.task_id)
        self._queue.clear()
        for connection, task_ids in owners.items():
            connection.send(m.TasksReturned(task_ids, blocked=True))

    # ---------------------------------------------------------- running

    def _go_on(self) -> None:
        if not self._is_busy:
            self._is_busy = True
            asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        while self._queue or self._exit:
            if self._exit is not None:
                self._leave(self._exit.reason)
                return
            connection, message, template = self._queue.popleft()
            if isinstance(message, m.ConstructActor):
                await self._construct(connection, message)
            else:
                assert template is not None
                await self._execute(Call(template, message.task_id, connection), message)
        self._is_busy = False

    def _leave(self, reason: str) -> None:
        """End by intent; what was said before goes out first."""
        core = self._core
        core.submitter.leases.give_back_idle()
        core.raylet.send(m.WorkerExiting("INTENDED_USER_EXIT", reason))
        asyncio.get_running_loop().call_later(0.001, core.cluster.loop.kill, core.process, 0)

    async def _execute(self, call: Call, push: m.PushTask) -> None:
        core, ledger = self._core, self._core.cluster.ledger
        self.running = call
        call.start_s = asyncio.get_running_loop().time()
        current.set(call)
        self.invoker.running[call] = push.attempt
        if self.actor is None:
            asyncio.get_running_loop().call_later(SLOW_S, self._is_slow, call)
        try:
            args, _ = self.invoker.arguments(call, push.args, push.deps)
            ledger.task_starts(core, call, args[0])
            value = await self._run_plan(call.template.method, push, *args)
            del args
        except Exception as error:
            ledger.task_ends(core, call)
            self.invoker.fail(call, error)
            error.with_traceback(None)  # its frames hold refs, in cycles that nobody collects here
        else:
            ledger.task_ends(core, call)
            self.invoker.succeed(call, value)
            del value
        finally:
            self.invoker.running.pop(call, None)
            current.set(None)
            self.running = None

    def _is_slow(self, call: Call) -> None:
        if self.running is call:
            self.hand_back()

    async def get(self, refs: list[ObjectRef[Any]]) -> list[Any]:
        """Wait inside a task: after a moment it lends its CPU."""
        core = self._core
        arrivals = [core.arrive(ref) for ref in refs]
        done = asyncio.gather(*arrivals)
        finished, _ = await asyncio.wait([done], timeout=GRACE_S)
        if not finished:
            if self.actor is None:
                self.hand_back()
                core.raylet.send(m.SetBlocked(True))
                core.cluster.ledger.blocked(core, True)
            await done
            if self.actor is None:
                core.raylet.send(m.SetBlocked(False))
                core.cluster.ledger.blocked(core, False)
        values = []
        for ref in refs:
            value = core.objects[ref.binary()].value
            assert value is not None
            values.append(core.values.load(ref, value))
        return values

    async def _run_plan(self, method: str, push: m.PushTask, plan: dict[str, Any], *args: Any) -> Any:
        """`sleep` first, then one of: `crash` (up to that attempt), `error`, `children`, or `method`'s own work."""
        core = self._core
        await asyncio.sleep(plan.get("sleep", 0.0))
        if push.attempt < plan.get("crash", 0):
            await self._die(11)
        if plan.get("error"):
            raise PlannedError(plan["token"])
        if method == "exit":
            self._leave("exit_actor")
            await asyncio.get_running_loop().create_future()
        if method == "add":
            self.count += 1
            assert self.actor is not None
            return plan["token"], self.actor.incarnation, self.count
        if method == "hold":
            self.kept += args
            return plan["token"]
        if method == "give":
            kept, self.kept = self.kept, []
            return [plan["token"], kept]
        children = [core.task(child, **plan.get("options", {})) for child in plan.get("children", ())]
        if "put" in plan:
            children.append(core.put_value(plan["put"]))
        if plan.get("returns_refs"):
            return [plan["token"], children]
        total = 0
        if children:
            total += sum(await self.get(children))
        if "open" in plan:  # refs inside the arguments
            total += sum(await self.get(args[0]))
            args = args[1:]
        return plan["token"] + total + sum(arg for arg in args if isinstance(arg, int))

    async def _die(self, status: int) -> None:
        self._core.cluster.loop.kill(self._core.process, status)
        await asyncio.get_running_loop().create_future()  # for ever

    async def _construct(self, connection: Any, message: m.ConstructActor) -> None:
        core = self._core
        self.actor = message
        core.actor_id = message.spec.actor_id
        recipe = msgspec.msgpack.decode(message.spec.spec_blob, type=ActorRecipe)
        (plan,), _ = serialization.deserialize(recipe.args)
        core.cluster.ledger.constructing(core, message)
        await asyncio.sleep(plan.get("sleep", 0.0))
        if message.incarnation < plan.get("crash", 0):
            await self._die(11)
        if plan.get("error"):
            error = serialization.serialize_error(PlannedError(plan["token"])).to_blob()
            connection.send(
                m.Failed(kind="init_failed", message="The constructor failed.", detail=error, rid=message.rid)
            )
            return
        core.cluster.ledger.constructed(core, message)
        connection.reply(message, m.ActorCreated(address=core.address, pid=core.process.pid))
