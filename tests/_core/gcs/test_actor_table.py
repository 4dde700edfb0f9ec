"""The life of actors: names are unique, incarnations count up, budgets hold, whatever comes in which order."""

from hypothesis import given
from hypothesis import strategies as st

from ray._core.common import messages as m
from ray._core.gcs.actors import ActorTable, Destroy, NameTaken, Place, Publish

OWNER = m.Address(b"node", b"owner", "", 0, "")


def spec(number: int, *, name: str = "", max_restarts: int = 0, detached: bool = False, owner: m.Address = OWNER):
    return m.ActorSpec(
        actor_id=bytes([number]) * 16,
        job_id=b"job1",
        name=name,
        namespace="space",
        class_name="C",
        owner=owner,
        detached=detached,
        max_restarts=max_restarts,
        placement=m.SchedulingClass({"CPU": 10_000}),
        held={},
        class_key="",
        spec_blob=b"",
    )


def at(node_id: bytes) -> m.Address:
    return m.Address(node_id, b"worker", "", 0, "")


def born(table: ActorTable, one: m.ActorSpec, node_id: bytes = b"n1") -> None:
    table.register(one, b"", True, 0)
    table.placed(one.actor_id, node_id)
    table.created(one.actor_id, 0, at(node_id), 1, "")


def states(effects: list) -> list[str]:
    return [effect.info.state if isinstance(effect, Publish) else type(effect).__name__ for effect in effects]


def test_an_actor_waits_for_its_dependencies_then_for_a_place():
    table, one = ActorTable(), spec(1)
    assert table.register(one, b"handle", False, 5) == []
    assert table.get(one.actor_id).state == "DEPENDENCIES_UNREADY"
    assert states(table.dependencies_ready(one.actor_id)) == ["PENDING_CREATION", "Place"]
    assert table.wants_place(one.actor_id)
    table.placed(one.actor_id, b"n1")
    assert not table.wants_place(one.actor_id)
    assert states(table.created(one.actor_id, 0, at(b"n1"), 7, "repr")) == ["ALIVE"]
    table.validate()


def test_registering_again_creates_nothing_twice():
    table, one = ActorTable(), spec(1, name="x")
    table.register(one, b"", True, 0)
    assert table.register(one, b"", True, 0) == []


def test_a_name_is_taken_until_its_actor_is_dead():
    table = ActorTable()
    born(table, spec(1, name="x"))
    taken = table.register(spec(2, name="x"), b"", True, 0)
    assert isinstance(taken, NameTaken) and taken.info.actor_id == spec(1).actor_id
    table.kill(spec(1).actor_id, True, "KILLED", "", 9)
    assert table.named("x", "space") is None
    assert states(table.register(spec(2, name="x"), b"", True, 0)) == ["PENDING_CREATION", "Place"]
    table.validate()


def test_a_death_costs_a_restart_and_the_last_one_is_final():
    table, one = ActorTable(), spec(1, max_restarts=1)
    born(table, one)
    assert states(table.died(one.actor_id, 0, "WORKER_DIED", "killed", 3)) == ["RESTARTING", "Place"]
    assert table.died(one.actor_id, 0, "WORKER_DIED", "told twice", 3) == []
    table.placed(one.actor_id, b"n2")
    table.created(one.actor_id, 1, at(b"n2"), 8, "")
    assert states(table.died(one.actor_id, 1, "WORKER_DIED", "again", 4)) == ["DEAD"]
    table.validate()


def test_an_exit_by_intent_is_final_whatever_the_budget():
    table, one = ActorTable(), spec(1, max_restarts=-1)
    born(table, one)
    assert states(table.died(one.actor_id, 0, "INTENDED_USER_EXIT", "", 3)) == ["DEAD"]


def test_kill_with_restart_only_ends_the_process():
    table, one = ActorTable(), spec(1, max_restarts=1)
    born(table, one)
    assert table.kill(one.actor_id, False, "KILLED", "why", 0) == [Destroy(one.actor_id, 0, b"n1", False, "why")]
    assert states(table.died(one.actor_id, 0, "WORKER_DIED", "why", 1)) == ["RESTARTING", "Place"]


def test_a_start_told_after_its_end_ends_no_later_life():
    table, one = ActorTable(), spec(1, max_restarts=1)
    table.register(one, b"", True, 0)
    table.placed(one.actor_id, b"n1")
    table.died(one.actor_id, 0, "WORKER_DIED", "why", 1)
    table.placed(one.actor_id, b"n1")
    [order] = table.created(one.actor_id, 0, at(b"n1"), 7, "")
    assert isinstance(order, Destroy) and order.incarnation == 0
    assert states(table.created(one.actor_id, 1, at(b"n1"), 8, "")) == ["ALIVE"]


def test_actors_go_with_their_owner_unless_detached():
    table = ActorTable()
    born(table, spec(1))
    born(table, spec(2, detached=True))
    assert states(table.owner_died(b"owner", 5)) == ["DEAD", "Destroy"]
    assert table.get(spec(2).actor_id).state == "ALIVE"
    table.validate()


def test_a_node_death_restarts_what_lived_there():
    table = ActorTable()
    born(table, spec(1, max_restarts=1), b"n1")
    born(table, spec(2), b"n1")
    born(table, spec(3), b"n2")
    assert states(table.node_died(b"n1", "gone", 5)) == ["RESTARTING", "Place", "DEAD"]
    assert table.get(spec(3).actor_id).state == "ALIVE"
    table.validate()


def test_restarts_by_preempted_nodes_cost_nothing_of_an_actor_that_may_restart():
    table, one, mortal = ActorTable(), spec(1, max_restarts=1), spec(2)
    born(table, one, b"n1")
    born(table, mortal, b"n1")
    assert states(table.node_died(b"n1", "gone", 5, preempted=True)) == ["RESTARTING", "Place", "DEAD"]
    assert table.get(mortal.actor_id).preempted
    for incarnation in (1, 2):
        table.placed(one.actor_id, b"n2")
        table.created(one.actor_id, incarnation, at(b"n2"), 7, "")
        assert states(table.node_died(b"n2", "gone", 6, preempted=True)) == ["RESTARTING", "Place"]
    info = table.get(one.actor_id)
    assert (info.num_restarts, info.free_restarts) == (3, 3)
    for incarnation, then in ((3, ["RESTARTING", "Place"]), (4, ["DEAD"])):
        table.placed(one.actor_id, b"n3")
        table.created(one.actor_id, incarnation, at(b"n3"), 7, "")
        assert states(table.died(one.actor_id, incarnation, "WORKER_DIED", "", 7)) == then
        table.validate()
    assert not table.get(one.actor_id).preempted


def test_what_was_created_too_late_is_destroyed():
    table, one = ActorTable(), spec(1)
    table.register(one, b"", True, 0)
    table.placed(one.actor_id, b"n1")
    table.kill(one.actor_id, True, "KILLED", "", 0)
    assert states(table.created(one.actor_id, 0, at(b"n1"), 7, "")) == ["Destroy"]


EVENTS = st.sampled_from(
    [
        "register",
        "ready",
        "placed",
        "created",
        "spill",
        "init_failed",
        "crash",
        "died",
        "exit",
        "kill",
        "kill_restart",
        "scope",
        "owner",
        "node",
        "preempted",
    ]
)


@given(st.lists(st.tuples(EVENTS, st.integers(0, 4), st.integers(0, 2)), min_size=15, max_size=60))
def test_incarnations_never_exceed_the_budget_nor_overlap(history):
    table, lives = ActorTable(), {}
    specs = [
        spec(number, name="ab"[number % 2] * (number < 3), max_restarts=number - 1, detached=number == 2)
        for number in range(5)
    ]
    for event, number, node in history:
        one = specs[number]
        actor_id, info = one.actor_id, table.get(one.actor_id)
        incarnation = info.incarnation if info else 0
        node_id = bytes([node])
        effects = []
        if event == "register":
            outcome = table.register(one, b"", number % 2 == 0, 0)
            effects = [] if isinstance(outcome, NameTaken) else outcome
        elif event == "ready":
            effects = table.dependencies_ready(actor_id)
        elif event == "placed" and table.wants_place(actor_id):
            table.placed(actor_id, node_id)
        elif event == "created" and info and info.state in ("PENDING_CREATION", "RESTARTING"):
            if not table.wants_place(actor_id):
                effects = table.created(actor_id, incarnation, at(table._actors[actor_id].node_id), 1, "")
                lives.setdefault(actor_id, []).append(incarnation)
        elif event in ("spill", "init_failed", "crash") and info and not table.wants_place(actor_id):
            if info.state in ("PENDING_CREATION", "RESTARTING"):
                kind = "worker_died" if event == "crash" else event
                effects = table.creation_failed(actor_id, incarnation, kind, "m", b"", 0)
        elif event in ("died", "exit") and info and info.state == "ALIVE":
            kind = "WORKER_DIED" if event == "died" else "INTENDED_USER_EXIT"
            effects = table.died(actor_id, incarnation, kind, "", 0)
        elif event.startswith("kill"):
            effects = table.kill(actor_id, event == "kill", "KILLED", "", 0)
        elif event == "scope":
            effects = table.out_of_scope(actor_id, 0)
        elif event == "owner":
            effects = table.owner_died(b"owner", 0)
        elif event == "node":
            effects = table.node_died(node_id, "", 0)
        elif event == "preempted":
            effects = table.node_died(node_id, "", 0, preempted=True)
        table.validate()
        for effect in effects:
            if isinstance(effect, Place):
                assert table.wants_place(effect.actor_id)
    for actor_id, incarnations in lives.items():
        assert incarnations == sorted(set(incarnations)), "two lives of one incarnation"
        limit, free = table.get(actor_id).max_restarts, table.get(actor_id).free_restarts
        assert limit == -1 or len(incarnations) <= limit + free + 1
