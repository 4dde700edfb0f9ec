"""What the submitter makes of a queue's orders when the raylet has gone meanwhile."""

from types import SimpleNamespace

from ray._core.worker.leases import AskForLease, LeaseQueue
from ray._core.worker.submitter import Submitter


class GoneRaylet:
    """Refuses at once, and all that waits then fails (as `LeaseClient` does on a closed connection)."""

    def __init__(self):
        self.asked = 0

    def expire_others(self, queue): ...

    def ask(self, queue, template, prefer_nodes):
        self.asked += 1
        queue.refused()
        queue.drain()


def test_a_second_request_is_not_made_when_the_first_has_failed_all_that_waits():
    submitter = Submitter.__new__(Submitter)
    submitter.leases = GoneRaylet()
    submitter.tasks = {name: SimpleNamespace(argument_nodes=[]) for name in (b"1", b"2", b"3")}
    queue = LeaseQueue(2000, 10)
    orders = queue.handed_back(0, [(name, None) for name in submitter.tasks], 0.0)
    assert orders == [AskForLease()] * 3
    submitter.carry_out(queue, None, orders)
    assert submitter.leases.asked == 1
    assert queue.open_requests == 0 and queue.is_needless
