"""Known-bad variants of the product: the simulation must notice each of them within a thousand seeds.

Each is a mistake that somebody could make, and changes one function. `SEEDS` names a seed that notices it; the plans of
seeds change with the simulator, so `python -m simulation --mutation NAME --count 1000` finds another.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import msgspec

from ray._core.common import messages as m
from ray._core.common.resources import add
from ray._core.gcs.actors import ActorTable
from ray._core.gcs.groups import GroupTable
from ray._core.gcs.journal import Journal
from ray._core.raylet.actor_host import ActorHost
from ray._core.raylet.bundles import BundleManager
from ray._core.raylet.cluster_view import ClusterView
from ray._core.raylet.leasing import LeaseManager
from ray._core.raylet.scheduler import Scheduler
from ray._core.worker.actor_calls import CallQueue
from ray._core.worker.lease_client import LeaseClient
from ray._core.worker.leases import LeaseQueue
from ray._core.worker.objects import Lending


def _instead(owner: Any, name: str, new: Callable[..., Any]) -> Any:
    return mock.patch.object(owner, name, new)


# ---------------------------------------------------------------------- scheduler and leases of the raylet


def a_blocked_worker_gives_its_cpu_back_twice() -> Any:
    def release(self: Scheduler, lease_id: object) -> None:
        was_blocked = lease_id in self._blocked
        held = self._held.get(lease_id, {})
        original(self, lease_id)
        if was_blocked:
            add(self.available, {name: units for name, units in held.items() if name == "CPU"})

    original = Scheduler.release
    return _instead(Scheduler, "release", release)


def a_worker_that_goes_on_does_not_take_its_cpu_back() -> Any:
    def set_blocked(self: Scheduler, lease_id: int, blocked: bool) -> None:
        if blocked:
            original(self, lease_id, blocked)
        else:
            self._blocked.discard(lease_id)

    original = Scheduler.set_blocked
    return _instead(Scheduler, "set_blocked", set_blocked)


def a_lease_is_granted_without_its_second_resource() -> Any:
    def grant(self: Scheduler, request: Any, lease_id: int) -> Any:
        given = original(self, request, lease_id)
        names = sorted(self._held[lease_id])
        if len(names) > 1:
            add(self.available, {names[1]: self._held[lease_id].pop(names[1])})
        return given

    original = Scheduler.grant
    return _instead(Scheduler, "grant", grant)


def requests_of_an_owner_that_has_gone_stay() -> Any:
    def owner_gone(self: LeaseManager, connection: Any) -> None:
        for worker in self.pool.of_owner(connection):
            self._raylet.kill(worker, "The process that leased it has ended.")

    return _instead(LeaseManager, "owner_gone", owner_gone)


def what_was_sent_to_a_node_counts_for_ever() -> Any:
    return _instead(ClusterView, "undebit", lambda self, node_id, version: False)


def bundles_are_returned_without_ending_what_runs_in_them() -> Any:
    def empty(self: BundleManager, group_id: bytes, index: int, cause: str) -> None:
        return

    return _instead(BundleManager, "_empty", empty)


# ---------------------------------------------------------------------- leases of the owner


def whoever_asks_a_remote_raylet_does_not_hear_of_its_death() -> Any:
    def remote(self: LeaseClient, where: m.LeaseSpilled) -> Any:
        with _instead(type(self._core), "watch_nodes", lambda core: None):
            return original(self, where)

    original = LeaseClient._remote
    return _instead(LeaseClient, "_remote", remote)


def a_surplus_worker_ends_with_its_leases() -> Any:
    return _instead(LeaseClient, "give_back_idle", lambda self: None)


def only_the_first_task_of_a_lost_worker_runs_again() -> Any:
    original = LeaseQueue.lost
    return _instead(LeaseQueue, "lost", lambda self, lease_id: original(self, lease_id)[:1])


def what_a_worker_hands_back_is_dropped() -> Any:
    def handed_back(self: LeaseQueue, lease_id: int, tasks: list[Any], now_s: float) -> Any:
        return original(self, lease_id, tasks[:1], now_s)

    original = LeaseQueue.handed_back
    return _instead(LeaseQueue, "handed_back", handed_back)


# ---------------------------------------------------------------------- actors and placement groups


def an_actor_restarts_however_often() -> Any:
    def fall(self: ActorTable, actor: Any, *args: Any) -> Any:
        limit = actor.info.max_restarts
        actor.info = msgspec.structs.replace(actor.info, max_restarts=-1)
        effects = original(self, actor, *args)
        actor.info = msgspec.structs.replace(actor.info, max_restarts=limit)
        return effects

    original = ActorTable._fall
    return _instead(ActorTable, "_fall", fall)


def the_end_of_an_actors_process_is_not_reported() -> Any:
    return _instead(ActorHost, "exited", lambda self, worker, kind, cause: None)


def a_restarted_gcs_forgets_the_names_of_actors() -> Any:
    def restore(self: ActorTable, rows: Any) -> None:
        original(self, rows)
        self._names.clear()

    original = ActorTable.restore
    return _instead(ActorTable, "restore", restore)


def a_call_that_may_have_run_is_sent_again_without_retries() -> Any:
    def resend_or_fail(self: CallQueue) -> Any:
        for call in self.sent.values():
            call.retries_left = call.retries_left or 1
        return original(self)

    original = CallQueue._resend_or_fail
    return _instead(CallQueue, "_resend_or_fail", resend_or_fail)


def a_group_that_was_given_up_keeps_what_it_had_reserved() -> Any:
    def give_up(self: GroupTable, group: Any, attempt: Any) -> Any:
        return original(self, group, attempt)[1:]

    original = GroupTable._give_up
    return _instead(GroupTable, "_give_up", give_up)


# ---------------------------------------------------------------------- journal, connections, references


def answers_leave_before_what_they_tell_is_durable() -> Any:
    return _instead(Journal, "passes", lambda self, send: send())


def a_borrower_is_not_counted() -> Any:
    return _instead(Lending, "lend", lambda self, key, borrower_id: None)


SEEDS = {
    a_blocked_worker_gives_its_cpu_back_twice: 103,
    a_worker_that_goes_on_does_not_take_its_cpu_back: 0,
    a_lease_is_granted_without_its_second_resource: 1,
    requests_of_an_owner_that_has_gone_stay: 20,
    what_was_sent_to_a_node_counts_for_ever: 297,
    bundles_are_returned_without_ending_what_runs_in_them: 2,
    only_the_first_task_of_a_lost_worker_runs_again: 22,
    what_a_worker_hands_back_is_dropped: 2,
    an_actor_restarts_however_often: 7,
    the_end_of_an_actors_process_is_not_reported: 1,
    a_restarted_gcs_forgets_the_names_of_actors: 52,
    a_call_that_may_have_run_is_sent_again_without_retries: 477,
    a_group_that_was_given_up_keeps_what_it_had_reserved: 7,
    answers_leave_before_what_they_tell_is_durable: 137,
    a_borrower_is_not_counted: 3,
    whoever_asks_a_remote_raylet_does_not_hear_of_its_death: 0,
    a_surplus_worker_ends_with_its_leases: 8,
}
"""A seed that notices it, for each: the first there is."""
MUTATIONS = {made.__name__: made for made in SEEDS}


@contextlib.contextmanager
def applied(name: str) -> Iterator[None]:
    """The product with this mistake in it. Raises KeyError for a name that is none of `MUTATIONS`; "" is as it is."""
    if not name:
        yield
        return
    with MUTATIONS[name]():
        yield
