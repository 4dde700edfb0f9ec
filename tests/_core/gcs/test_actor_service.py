"""Actors without a place are demands of the cluster as long as they live."""

from random import Random

from ray._core.common import messages as m
from ray._core.common.policy import Knobs
from ray._core.gcs.actor_service import ActorService
from ray._core.gcs.journal import Journal
from ray._core.gcs.nodes import NodeTable
from ray._core.gcs.publisher import Publisher

OWNER = m.Address(b"node", b"owner", "", 0, "")


class Client:
    def __init__(self):
        self.replies = []

    def send(self, message):
        pass

    def send_frame(self, frame): ...

    def reply(self, request, reply=None):
        self.replies.append(reply)


def test_an_actor_that_dies_without_a_place_is_no_demand_any_more():
    service = ActorService(NodeTable(), {}, Publisher(), Journal(None), Knobs(0.5, 0.2, 1, True), lambda: 0, Random(0))
    spec = m.ActorSpec(
        actor_id=b"a" * 16,
        job_id=b"job1",
        name="",
        namespace="space",
        class_name="C",
        owner=OWNER,
        detached=False,
        max_restarts=0,
        placement=m.SchedulingClass({"CPU": 10_000}),
        held={},
        class_key="",
        spec_blob=b"",
    )
    handlers = service.handlers()
    handlers[m.RegisterActor](Client(), m.RegisterActor(spec=spec, handle_blob=b"", ready=True))
    assert [demand.resources for demand in service.demands()] == [{"CPU": 10_000}]
    service.owner_died(OWNER.worker_id)
    assert service.demands() == []
