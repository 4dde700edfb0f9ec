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

from ray._core.common.resources import add
from ray._core.gcs.actors import ActorTable
from ray._core.gcs.groups import GroupTable
from ray._core.gcs.journal import Journal
from ray._core.gcs.server import GcsServer
from ray._core.raylet.actor_host import ActorHost
from ray._core.raylet.bundles import BundleManager
from ray._core.raylet.cluster_view import ClusterView
from ray._core.raylet.leasing import LeaseManager
from ray._core.raylet.scheduler import Scheduler
from ray._core.wire.link import Link
from ray._core.worker.actor_calls import CallQueue
from ray._core.worker.leases import LeaseQueue
from ray._core.worker.objects import Lending


def _instead(owner: Any, name: str, new: Callable[..., Any]) -> Any:
    return mock.patch.object(owner, name, new)


# ---------------------------------------------------------------------- scheduler and leases of the raylet


def a_blocked_worker_gives_its_cpu_back_twice() -> Any:
    def release(self: Scheduler, lease_id: object) -> None:
        was_blocked = lease_id in self._blocked
        held = self.held_by(lease_id)
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


def a_broken_lease_leaves_its_worker_alive() -> Any:
    def returned(self: LeaseManager, connection: Any, message: Any) -> None:
        original(self, connection, msgspec.structs.replace(message, worker_broken=False))

    original = LeaseManager._return

    def make(self: LeaseManager, *args: Any) -> None:
        build(self, *args)
        for kind, handler in list(self.handlers.items()):
            if handler == self._return:
                self.handlers[kind] = lambda c, message: returned(self, c, message)

    build = LeaseManager.__init__
    return _instead(LeaseManager, "__init__", make)


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


def only_the_first_task_of_a_lost_worker_runs_again() -> Any:
    original = LeaseQueue.lost
    return _instead(LeaseQueue, "lost", lambda self, lease_id: original(self, lease_id)[:1])


def what_a_worker_hands_back_is_dropped() -> Any:
    def handed_back(self: LeaseQueue, lease_id: int, tasks: list[Any], now_s: float) -> Any:
        return original(self, lease_id, tasks[:1], now_s)

    original = LeaseQueue.handed_back
    return _instead(LeaseQueue, "handed_back", handed_back)


def a_revoked_lease_is_kept() -> Any:
    return _instead(LeaseQueue, "revoke", lambda self, lease_id, now_s: [])


# ---------------------------------------------------------------------- actors and placement groups


def reports_about_older_lives_of_an_actor_count() -> Any:
    return _instead(ActorTable, "_is_current", lambda self, actor, incarnation: actor.info.state != "DEAD")


def a_restarted_gcs_places_actors_before_all_nodes_are_back() -> Any:
    def restore(self: GcsServer) -> None:
        original(self)
        self._resume()

    original = GcsServer.restore
    return _instead(GcsServer, "restore", restore)


def what_a_node_hosts_and_should_not_is_left_there() -> Any:
    def reconcile(self: ActorTable, node_id: bytes, hosted: Any, now_ms: int) -> Any:
        known = [each for each in hosted if self.get(each.actor_id) is not None]
        return [effect for effect in original(self, node_id, known, now_ms) if type(effect).__name__ != "Destroy"]

    original = ActorTable.reconcile
    return _instead(ActorTable, "reconcile", reconcile)


def a_call_that_may_have_run_is_sent_again_without_retries() -> Any:
    def resend_or_fail(self: CallQueue) -> Any:
        for call in self.sent.values():
            call.retries_left = call.retries_left or 1
        return original(self)

    original = CallQueue._resend_or_fail
    return _instead(CallQueue, "_resend_or_fail", resend_or_fail)


def a_raylet_begins_an_actor_again_when_told_twice() -> Any:
    def create(self: ActorHost, connection: Any, message: Any) -> None:
        self._actors.pop(message.spec.actor_id, None)
        original(self, connection, message)

    original = ActorHost._create
    return _instead(ActorHost, "_create", create)


def a_group_that_was_given_up_keeps_what_it_had_reserved() -> Any:
    def give_up(self: GroupTable, group: Any, attempt: Any) -> Any:
        return original(self, group, attempt)[1:]

    original = GroupTable._give_up
    return _instead(GroupTable, "_give_up", give_up)


# ---------------------------------------------------------------------- journal, connections, references


def answers_leave_before_what_they_tell_is_durable() -> Any:
    return _instead(Journal, "passes", lambda self, send: send())


def open_requests_are_forgotten_with_the_connection() -> Any:
    def opened(self: Link, connection: Any) -> None:
        self._asked.clear()
        original(self, connection)

    original = Link._opened
    return _instead(Link, "_opened", opened)


def a_borrower_counts_once_however_often_it_was_told() -> Any:
    def lend(self: Lending, key: bytes, borrower_id: bytes) -> None:
        original(self, key, borrower_id)
        entry = self._core.objects.get(key)
        if entry is not None and entry.lent:
            entry.lent[borrower_id] = 1

    original = Lending.lend
    return _instead(Lending, "lend", lend)


def what_a_borrower_gives_back_is_not_counted() -> Any:
    return _instead(Lending, "returned", lambda self, message: None)


MUTATIONS: dict[str, Callable[[], Any]] = {
    made.__name__: made
    for made in (
        a_blocked_worker_gives_its_cpu_back_twice,
        a_worker_that_goes_on_does_not_take_its_cpu_back,
        a_lease_is_granted_without_its_second_resource,
        a_broken_lease_leaves_its_worker_alive,
        requests_of_an_owner_that_has_gone_stay,
        what_was_sent_to_a_node_counts_for_ever,
        bundles_are_returned_without_ending_what_runs_in_them,
        only_the_first_task_of_a_lost_worker_runs_again,
        what_a_worker_hands_back_is_dropped,
        a_revoked_lease_is_kept,
        reports_about_older_lives_of_an_actor_count,
        a_restarted_gcs_places_actors_before_all_nodes_are_back,
        what_a_node_hosts_and_should_not_is_left_there,
        a_call_that_may_have_run_is_sent_again_without_retries,
        a_raylet_begins_an_actor_again_when_told_twice,
        a_group_that_was_given_up_keeps_what_it_had_reserved,
        answers_leave_before_what_they_tell_is_durable,
        open_requests_are_forgotten_with_the_connection,
        a_borrower_counts_once_however_often_it_was_told,
        what_a_borrower_gives_back_is_not_counted,
    )
}


@contextlib.contextmanager
def applied(name: str) -> Iterator[None]:
    """The product with this mistake in it. Raises KeyError for a name that is none of `MUTATIONS`; "" is as it is."""
    if not name:
        yield
        return
    with MUTATIONS[name]():
        yield
