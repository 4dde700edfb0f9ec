"""Chains of what waits for what: followed to their ends, whatever the cluster answers, and told in a few lines."""

import typing

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray._core.common import messages as m
from ray._core.common import waiting

CPU = 10_000
NODE, WORKER = bytes([0xAB]) * 28, bytes([0xCD]) * 28
LEASE = WORKER + (7).to_bytes(8)


def subject(kind, key=b"\x01", node=b"", worker=b""):
    return m.Subject(kind, key, node, worker)


def told(world):
    """A `look` that knows this much: findings by subject."""
    return lambda asked: world.get((asked.kind, asked.id, asked.node_id, asked.worker_id), [])


def world_of(*findings):
    world = {}
    for finding in findings:
        about = finding.subject
        world.setdefault((about.kind, about.id, about.node_id, about.worker_id), []).append(finding)
    return world


def lines(start, *findings):
    return waiting.render(waiting.follow(start, told(world_of(*findings))))


# ------------------------------------------------------------------ following


def test_a_ref_is_followed_to_the_room_that_its_task_lacks():
    ref, task = subject("object", b"\x01"), subject("task", b"\x02", NODE, WORKER)
    request, node = subject("lease", LEASE, NODE), subject("node", NODE, NODE)
    holder = m.Holder({"CPU": 2 * CPU}, 71, "task load", 182.0)
    found = lines(
        ref,
        m.Finding(ref, m.AwaitsTask(), next=[task]),
        m.Finding(task, m.AwaitsLease(0, 0, 0), "train", 14.0, [request]),
        m.Finding(request, m.LacksRoom({"CPU": 4 * CPU}, 1), "train", 14.0, [node]),
        m.Finding(node, m.Room("10.0.0.1", {"CPU": 4 * CPU}, {"CPU": 2 * CPU}, [holder])),
    )
    assert found == [
        "task train (02) has waited 14 s for 4 CPU on node abababab:",
        "  node abababab (10.0.0.1) has 2 of 4 CPU free; held by task load (2 CPU, pid 71, for 3 min 2 s)",
    ]


def test_what_waits_for_itself_is_told_as_a_circle_and_not_followed_for_ever():
    f, g = subject("task", b"f"), subject("task", b"g")
    found = lines(
        f,
        m.Finding(f, m.AwaitsArguments(1, 1), "f", next=[g]),
        m.Finding(g, m.AwaitsArguments(1, 1), "g", next=[f]),
    )
    assert found[-1] == "    task f (66), which waits for all this itself: a circle that nobody can leave"
    assert len(found) == 3


def test_what_two_wait_for_is_asked_about_once():
    a, b, c, d = (subject("task", name.encode()) for name in "abcd")
    asked = []
    world = world_of(
        m.Finding(a, m.AwaitsArguments(2, 2), "a", next=[b, c]),
        m.Finding(b, m.AwaitsArguments(1, 1), "b", next=[d]),
        m.Finding(c, m.AwaitsArguments(1, 1), "c", next=[d]),
        m.Finding(d, m.Runs(5), "d", 1.0),
    )

    def look(each):
        asked.append(each.id)
        return told(world)(each)

    chain = waiting.follow(a, look)
    assert asked == [b"a", b"b", b"c", b"d"]
    assert waiting.render(chain)[-1] == "    task d (64) (see above)"


def test_of_several_answers_the_one_who_waits_is_believed_then_the_owner():
    ref, owner = subject("object"), subject("object", b"\x01", NODE, WORKER)
    borrower = m.Finding(subject("object", b"\x01", NODE, b"b"), m.AwaitsOwner(), next=[owner])
    ready = m.Finding(owner, m.Ready(10))
    coming = m.Finding(subject("object", b"\x01", NODE, b"c"), m.IsComing(10))
    assert waiting.follow(ref, lambda _: [borrower, ready]).finding is ready
    assert waiting.follow(ref, lambda _: [ready, coming, borrower]).finding is coming


@pytest.mark.parametrize("kind", ["object", "task", "actor", "group", "call", "lease", "pull", "node", "process"])
def test_what_nobody_knows_is_said_to_be_unknown(kind):
    (line,) = lines(subject(kind))
    assert "cannot be followed further" in line


def test_more_questions_than_allowed_are_counted_and_not_asked():
    many = [subject("task", bytes([number])) for number in range(10)]
    root = subject("task", b"root")
    chain = waiting.follow(root, told(world_of(m.Finding(root, m.AwaitsArguments(12, 12), "r", next=many, more=2))), 4)
    assert (len(chain.steps), chain.unasked) == (3, 9)
    assert waiting.render(chain)[-1] == "  and 9 more"


def test_the_nearest_are_asked_first():
    root, deep, wide = subject("task", b"r"), subject("task", b"d"), subject("task", b"w")
    deeper = subject("task", b"e")
    asked = []
    world = world_of(
        m.Finding(root, m.AwaitsArguments(2, 2), next=[deep, wide]), m.Finding(deep, m.AwaitsGroup(), next=[deeper])
    )
    waiting.follow(root, lambda each: asked.append(each.id) or told(world)(each))
    assert asked == [b"r", b"d", b"w", b"e"]


def test_a_narrow_look_follows_one_of_many_and_all_nodes():
    root, a, b = subject("task", b"r"), subject("task", b"a"), subject("task", b"b")
    nodes = [subject("node", bytes([number])) for number in range(3)]
    world = world_of(
        m.Finding(root, m.AwaitsArguments(2, 2), "r", next=[a, b]),
        m.Finding(a, m.LacksRoom({}, 1), "a", next=nodes),
    )
    chain = waiting.follow(root, told(world), width=1)
    assert ([len(each.steps) for each in chain.steps], chain.unasked) == ([3], 1)


kinds = st.sampled_from(["object", "task", "call", "actor", "group"])
subjects = st.builds(subject, kinds, st.binary(max_size=1), st.just(NODE), st.just(WORKER))


@given(st.dictionaries(subjects.map(waiting._key), st.lists(subjects, max_size=4)), subjects, st.integers(1, 30))
def test_any_world_is_followed_with_bounded_questions_and_rendered(world, start, most):
    asked = []

    def look(each):
        asked.append(waiting._key(each))
        further = world.get(waiting._key(each))
        return [] if further is None else [m.Finding(each, m.AwaitsArguments(1, 1), "x", next=further)]

    chain = waiting.follow(start, look, most)
    assert len(asked) <= most
    assert len(asked) == len(set(asked)), "nobody is asked the same twice"
    assert all(isinstance(line, str) and line.strip() for line in waiting.render(chain))
    assert hash(waiting.signature(chain)) is not None


# ------------------------------------------------------------------ asking


def test_who_does_not_answer_is_named_and_the_rest_of_the_time_is_kept():
    now = [0.0]

    def ask(each, timeout_s):
        now[0] += timeout_s
        raise TimeoutError(f"nothing within {timeout_s:g} s")

    look = waiting.within(5.0, lambda: now[0], 3.0, ask)
    reasons = [look(subject("task"))[0].reason.why for _ in range(3)]
    assert reasons == ["nothing within 3 s", "nothing within 2 s", "the 5.0 s for all this are over"]


def test_silence_counts_only_when_nobody_else_tells():
    finding = m.Finding(subject("task"), m.Runs(1))
    look = waiting.within(5.0, lambda: 0.0, 3.0, lambda *_: m.Findings(found=[finding], silent=2))
    assert look(subject("task")) == [finding]
    look = waiting.within(5.0, lambda: 0.0, 3.0, lambda *_: m.Findings(found=[], silent=2))
    assert look(subject("task"))[0].reason.why == "2 processes did not answer in time"


def test_a_signature_changes_with_what_is_told_and_not_with_time():
    def chain(for_s, reason):
        return waiting.follow(subject("task"), lambda each: [m.Finding(each, reason, "f", for_s)])

    assert waiting.signature(chain(1.0, m.Runs(3))) == waiting.signature(chain(20.0, m.Runs(3)))
    assert waiting.signature(chain(1.0, m.Runs(3))) != waiting.signature(chain(1.0, m.IsIdle(3)))


# ------------------------------------------------------------------ words

REASONS = [
    (m.Ready(2048, [NODE]), "waits for nothing: its value exists (2.0 KiB on node abababab)"),
    (m.Ready(12), "waits for nothing: its value exists (12 B)"),
    (m.Ready(1, [], "ValueError: no"), "waits for nothing: it is an error, ValueError: no"),
    (m.AwaitsTask(), "waits for the task that makes it:"),
    (m.AwaitsGroup(), "is ready once its placement group is:"),
    (m.IsHandle(), "has no value: its refs are the handles on an actor"),
    (m.AwaitsOwner(), "is awaited from its owner:"),
    (m.IsComing(3 << 20), "exists (3.0 MiB), and is being brought to the node where it is wanted:"),
    (m.Unknown("it is silent"), "cannot be followed further: it is silent"),
    (m.AwaitsArguments(1, 2), "has waited 12 s for 1 of 2 ref arguments:"),
    (m.AwaitsLease(0, 0, 0), "has waited 12 s for a worker:"),
    (
        m.AwaitsLease(4, 2, 3),
        "has waited 12 s for a worker, after 4 tasks of its kind; 2 workers of its kind are busy with 3 tasks:",
    ),
    (m.IsSent(0), "was sent to its process 12 s ago:"),
    (m.IsSent(1), "was sent to its process 12 s ago, behind 1 other:"),
    (m.AwaitsRetry(1), "is tried again after a pause (attempt 2)"),
    (m.AwaitsActor("PENDING", 0), "has waited 12 s at its caller, since the actor does not live yet:"),
    (m.AwaitsActor("RESTARTING", 0), "has waited 12 s at its caller, since the actor starts again:"),
    (
        m.AwaitsActor("LOST", 2),
        "has waited 12 s at its caller, behind 2 earlier calls, since the connection to the actor broke:",
    ),
    (m.AwaitsEarlierCall(1), "has waited 12 s for 1 earlier call, since an actor takes them in order:"),
    (m.Runs(71), "runs for 12 s in process 71 on node abababab"),
    (m.Runs(71, True), "runs for 12 s in process 71 on node abababab, and waits for:"),
    (
        m.AwaitsProcess(71, 2, [("A.m", 3.0)]),
        "has waited 12 s behind 2 calls in process 71 on node abababab, which runs A.m (3.0 s):",
    ),
    (
        m.AwaitsProcess(71, 0, [("A.m", 3.0), ("A.n", 70.0)], 2),
        "has waited 12 s for process 71 on node abababab, which runs A.m (3.0 s), A.n (1 min 10 s), 2 at a time:",
    ),
    (m.IsIdle(71), "runs nothing (process 71 on node abababab)"),
    (
        m.AwaitsConsumer(71, 1),
        "is stopped in its yield (process 71 on node abababab) until somebody takes its last 1 item",
    ),
    (
        m.LacksRoom({"CPU": CPU, "memory": 2048 * CPU}, 1),
        "has waited 12 s for 1 CPU, 2.0 KiB memory on node abababab:",
    ),
    (
        m.LacksRoom({"CPU": CPU}, 3, b"\x07"),
        "has waited 12 s for 1 CPU of placement group 07 on node abababab (3 requests wait there):",
    ),
    (m.NoNode({"GPU": CPU}, "there is none"), "has waited 12 s for 1 GPU, which no node can hold: there is none"),
    (
        m.BuildsEnvironment('{"pip": []}'),
        'has waited 12 s for its runtime environment, which is being built on node abababab: {"pip": []}',
    ),
    (
        m.StartsWorker(1),
        "has waited 12 s for a worker process on node abababab, where there is room for it (1 process starting)",
    ),
    (m.Room("h", {"CPU": 2 * CPU}, {"CPU": 0}, []), "(h) has 0 of 2 CPU free"),
    (
        m.Room("h", {"CPU": 2 * CPU}, {"CPU": 0}, [m.Holder({"CPU": CPU}, 5, "task f", 3.0, True, True)], 2),
        "(h) has 0 of 2 CPU free; held by task f "
        "(1 CPU, pid 5, for 3.0 s, waits itself, and has lent its CPU) and 2 more",
    ),
    (
        m.Room("h", {"CPU": CPU}, {"CPU": 0}, [m.Holder({"CPU": CPU}, 5, "actor A", 3.0, True)]),
        "(h) has 0 of 1 CPU free; held by actor A (1 CPU, pid 5, for 3.0 s, waits itself): all of them wait "
        "themselves, so none of it may ever become free",
    ),
    (m.ActorIs("ALIVE", 0, 0), "lives:"),
    (m.ActorIs("ALIVE", 2, 3), "lives, after 2 restarts:"),
    (m.ActorIs("DEAD", 0, 0, "It was killed."), "is dead: It was killed."),
    (m.ActorIs("DEPENDENCIES_UNREADY", 0, 0), "has waited 12 s for what its constructor takes:"),
    (m.ActorIs("PENDING_CREATION", 0, 0), "has been created for 12 s:"),
    (m.ActorIs("PENDING_CREATION", 0, 0, "", "no GPU"), "has waited 12 s for a place: no GPU"),
    (
        m.ActorIs("RESTARTING", 2, 3, "Its node has died."),
        "has been starting again for 12 s (restart 2 of 3), because its node has died:",
    ),
    (m.ActorIs("RESTARTING", 1, -1, ""), "has been starting again for 12 s (restart 1), because its process ended:"),
    (m.GroupIs("CREATED", "PACK", 1), "is ready: its 1 bundle has its node"),
    (m.GroupIs("REMOVED", "PACK", 1), "was removed"),
    (
        m.GroupIs("PENDING", "PACK", 3, [({"CPU": 2 * CPU}, 3)]),
        "(PACK) has waited 12 s for 3 x {2 CPU}, all at once:",
    ),
    (
        m.GroupIs("PENDING", "STRICT_PACK", 3, [({"CPU": CPU}, 3)], True),
        "(STRICT_PACK) has waited 12 s for 3 x {1 CPU}, all at once, which the nodes of today could not hold even if "
        "they were idle:",
    ),
    (m.GroupIs("PREPARED", "PACK", 1), "(PACK) has waited 12 s for its nodes to reserve what it needs, all at once:"),
    (m.Pulls(1024, -1, "queued"), "has waited 12 s for 1.0 KiB of memory to become free"),
    (m.Pulls(1024, -1, "making_room"), "has waited 12 s for 1.0 KiB of memory, from which others are taken to disk"),
    (m.Pulls(1024, -1, "from_disk"), "reads 1.0 KiB from this node's disk for 12 s"),
    (m.Pulls(2048, 1024, "copying", NODE), "is under way for 12 s from node abababab: 1.0 KiB of 2.0 KiB have come"),
    (m.Pulls(2048, -1, "copying", NODE), "is under way for 12 s from node abababab: 2.0 KiB in all"),
]


@pytest.mark.parametrize(("reason", "words"), REASONS, ids=lambda each: type(each).__name__)
def test_each_reason_has_its_sentence(reason, words):
    finding = m.Finding(subject("call", b"\x01", NODE, WORKER), reason, "f", 12.0)
    assert waiting.sentence(finding) == words
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(finding), type=m.Finding) == finding
    without_time = msgspec.structs.replace(finding, for_s=-1.0)
    assert "12 s" not in waiting.sentence(without_time)


def test_every_reason_is_in_the_table_above():
    assert {type(reason) for reason, _ in REASONS} == set(typing.get_args(m.AnyReason))


@pytest.mark.parametrize(
    ("finding", "words"),
    [
        (m.Finding(subject("object", b"\x0a"), m.AwaitsTask()), "object 0a"),
        (m.Finding(subject("task", b"\x0a"), m.AwaitsTask(), "f"), "task f (0a)"),
        (m.Finding(subject("task", b"\x0a"), m.AwaitsTask()), "task ? (0a)"),
        (m.Finding(subject("call", b"\x0a"), m.AwaitsTask()), "it"),
        (m.Finding(subject("call", b"\xff" * 8 + b"\x0a"), m.Runs(1), "A.__init__"), "A.__init__ (actor 0a)"),
        (m.Finding(subject("actor", b"\x0a"), m.AwaitsTask(), "A"), "actor A (0a)"),
        (m.Finding(subject("group", b"\x0a"), m.AwaitsTask(), "pg"), "placement group pg (0a)"),
        (m.Finding(subject("lease", b"\x0a"), m.AwaitsTask(), "f"), "its request"),
        (m.Finding(subject("pull", b"\x0a"), m.AwaitsTask()), "its transfer"),
        (m.Finding(subject("process", WORKER), m.AwaitsTask()), "its process"),
        (m.Finding(subject("node", NODE), m.AwaitsTask()), "node abababab"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_subjects_are_named_with_an_id_to_ask_about(finding, words):
    assert waiting.noun(finding) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-1, "0.0 s"), (0.44, "0.4 s"), (12.9, "12 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")],
)
def test_durations_are_as_precise_as_they_are_long(seconds, words):
    assert waiting.duration(seconds) == words


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 B"), (1536, "1.5 KiB"), (5 << 30, "5.0 GiB"), (5 << 40, "5120.0 GiB")]
)
def test_sizes_have_units(number, words):
    assert waiting.size(number) == words


def test_a_story_is_told_below_with_its_last_events():
    events = [m.Event(float(30 - number), f"event {number}") for number in range(5)]
    chain = waiting.follow(subject("task"), lambda each: [m.Finding(each, m.AwaitsRetry(2), "f", story=events)])
    assert waiting.render(chain)[1:] == ["    28 s ago: event 2", "    27 s ago: event 3", "    26 s ago: event 4"]


def test_links_that_only_lead_on_are_told_with_the_next_and_their_stories_too():
    ref, there = subject("object"), subject("object", b"\x01", NODE, WORKER)
    task, call = subject("task", b"\x02", NODE, WORKER), subject("call", b"\x02", NODE, b"w")
    found = lines(
        ref,
        m.Finding(ref, m.AwaitsOwner(), next=[there]),
        m.Finding(there, m.AwaitsTask(), next=[task]),
        m.Finding(task, m.IsSent(1), "f", 9.0, [call], story=[m.Event(9.0, "attempt 1 failed")]),
        m.Finding(call, m.Runs(71), "f", 8.0),
    )
    assert found == ["task f (02) runs for 8.0 s in process 71 on node abababab", "    9.0 s ago: attempt 1 failed"]


def test_a_link_to_somebody_silent_is_told_itself():
    ref, there = subject("object"), subject("object", b"\x01", NODE, WORKER)
    found = lines(ref, m.Finding(ref, m.AwaitsOwner(), next=[there]))
    assert found[0] == "object 01 is awaited from its owner:"
    assert found[1].startswith("  object 01 cannot be followed further: ")


def test_a_process_tells_what_it_runs():
    process = subject("process", WORKER, NODE, WORKER)
    (line,) = lines(process, m.Finding(process, m.Runs(71), "A.m", 12.0))
    assert line == "its process runs A.m for 12 s (pid 71 on node abababab)"


def test_what_is_there_waits_for_nothing():
    chain = waiting.follow(subject("object"), lambda each: [m.Finding(each, m.Ready(1))])
    assert not waiting.is_waiting(chain)
    assert waiting.is_waiting(waiting.follow(subject("object"), lambda each: []))
