"""What a worker runs next, and what it gives back: nobody's task may be taken along by the end of the process."""

import threading
from types import SimpleNamespace

import pytest

from ray._core.common import messages as m
from ray._core.worker.executor import Executor
from ray._core.worker.invocation import Call

OWNER = m.Address(b"n" * 16, b"w" * 16, "", 0, "")
OTHER = m.Address(b"n" * 16, b"o" * 16, "", 0, "")


class Link:
    peer = OWNER

    def __init__(self, sent):
        self.send = sent.append


class Worker:
    """An executor without a process; the test is its main thread. `sent`: what its owner got."""

    def __init__(self):
        self.sent, self.confirms, self.unregistered = [], [], []
        lending = SimpleNamespace(
            has_unregistered=False,
            take_unregistered=lambda: self.unregistered,
            register=lambda key, owner, borrower, then: self.confirms.append(then),
            has_borrowers=lambda: False,
        )
        reactor = SimpleNamespace(on_takeover=None, unsent=0, flush=lambda: None, _finished=lambda waiter: None)
        self.core = SimpleNamespace(
            lock=threading.RLock(),
            reactor=reactor,
            lending=lending,
            refs=SimpleNamespace(drain=lambda: None),
            worker_id=b"m" * 16,
            address=OWNER,
        )
        self.executor = self.core.executor = Executor(self.core)
        self.connection = Link(self.sent)

    def push(self, name):
        template = m.TaskTemplate(
            template_id=ord(name[0]),
            function_key="",
            function_blob=b"",
            name=name,
            function_name=name,
            method="",
            num_returns=1,
            job_id=b"",
        )
        self.executor.received(self.connection, template)
        self.executor.received(self.connection, m.PushTask(name.encode(), template.template_id, b"", []))

    def begin(self):
        job = self.executor._next_job()
        if job is None:
            return None
        connection, push, template = job
        call = self.executor.interrupts.running = Call(template, push.task_id, connection)
        return call

    def finish(self, call):
        self.executor.invoker.finish(call, [], failed=False)

    @property
    def returned(self):
        return [task_id for each in self.sent if isinstance(each, m.TasksReturned) for task_id in each.task_ids]

    @property
    def done(self):
        return [each.task_id for each in self.sent if isinstance(each, m.TaskDone)]


@pytest.fixture
def worker():
    return Worker()


def test_what_comes_between_the_last_answer_and_the_end_of_the_process_goes_back(worker):
    """`max_calls`: it was pushed before its owner knew of the answer, and would count as a task that has crashed."""
    worker.push("a")
    call = worker.begin()
    call.is_last = True
    worker.finish(call)
    worker.push("b")
    assert worker.done == [b"a"]
    assert worker.returned == [b"b"]
    assert worker.begin() is None


def test_no_other_task_begins_while_an_answer_waits_for_an_owner(worker):
    """Should that one end the process, the first one would count as the one that did, since it is unanswered."""
    worker.push("a")
    call = worker.begin()
    worker.push("b")
    worker.core.lending.has_unregistered = True
    worker.unregistered = [(b"k", OTHER)]
    worker.finish(call)
    worker.executor.interrupts.running = None
    assert worker.begin() is None
    assert worker.done == [] and worker.returned == [b"b"]
    worker.core.lending.has_unregistered = False
    worker.confirms.pop()()
    assert worker.done == [b"a"]
    worker.push("b")
    assert worker.begin().task_id == b"b"


def test_calls_of_one_function_that_may_run_again_do_not_wait_for_it(worker):
    worker.push("a1")
    call = worker.begin()
    worker.core.lending.has_unregistered = True
    worker.unregistered = [(b"k", OTHER)]
    worker.finish(call)
    worker.executor.interrupts.running = None
    worker.executor._queue.append((worker.connection, m.PushTask(b"a2", ord("a"), b"", []), call.template))
    assert worker.begin().task_id == b"a2"


@pytest.mark.parametrize("is_answered", [False, True])
def test_behind_a_task_that_has_handed_back_nothing_is_queued_until_it_is_answered(worker, is_answered):
    worker.push("a")
    call = worker.begin()
    worker.executor.hand_back()
    if is_answered:
        worker.finish(call)
    worker.push("b")
    assert worker.returned == ([] if is_answered else [b"b"])
