"""Files in, messages out: the log monitor on real files and a sender that keeps what it gets."""

import asyncio
import contextlib
import os

from ray._core.agent.log_monitor import READ_BYTES, LogMonitor
from ray._core.common import log_markers

NODE, JOB, OTHER = b"n" * 28, b"\1\0\0\0", b"\2\0\0\0"
DEADLINE_S = 20


class Sender:
    def __init__(self):
        self.messages = asyncio.Queue()

    def send(self, message):
        self.messages.put_nowait(message)

    async def drain(self):
        await asyncio.sleep(0)

    def now(self):
        got = []
        while not self.messages.empty():
            got += self.messages.get_nowait().batch
        return [(each.job_id, each.name, each.pid, each.is_err, line) for each in got for line in each.lines]

    async def line(self):
        batch = (await asyncio.wait_for(self.messages.get(), DEADLINE_S)).batch
        return [line for each in batch for line in each.lines]


@contextlib.asynccontextmanager
async def monitoring(directory, resume=False):
    sender = Sender()
    monitor = LogMonitor(str(directory), NODE, "10.0.0.1", sender, resume)
    monitor.start()
    yield monitor, sender
    monitor.close()


def _write(directory, text, job=JOB, pid=7, stream="out", node=NODE):
    path = directory / f"worker-ab-ffffffff-{pid}.{stream}"
    is_new = not path.exists()
    with open(path, "ab") as file:
        if is_new:
            file.write(log_markers.header(node) + log_markers.marker(log_markers.JOB, job.hex()))
            file.write(log_markers.marker(log_markers.TASK, "f"))
        file.write(text)


def test_a_flush_ships_everything_of_the_job_with_the_unfinished_line_but_no_unfinished_line_of_others(tmp_path):
    async def scenario():
        async with monitoring(tmp_path) as (monitor, sender):
            _write(tmp_path, b"a\nend")
            _write(tmp_path, b"e\n", stream="err")
            _write(tmp_path, b"b\nmore to come", job=OTHER, pid=8)
            await monitor.flush(JOB)
            assert sorted(sender.now()) == [
                (JOB, "f", 7, False, "a"),
                (JOB, "f", 7, False, "end"),
                (JOB, "f", 7, True, "e"),
                (OTHER, "f", 8, False, "b"),
            ]

    asyncio.run(scenario())


def test_lines_are_shipped_as_they_come_and_each_once(tmp_path):
    async def scenario():
        async with monitoring(tmp_path) as (monitor, sender):
            for number in range(3):
                _write(tmp_path, b"%d\n" % number)
                assert await sender.line() == [str(number)]
            await monitor.flush(JOB)
            assert sender.now() == []

    asyncio.run(scenario())


def test_files_of_workers_that_have_ended_are_let_go_and_those_of_living_ones_are_not(tmp_path):
    async def scenario():
        async with monitoring(tmp_path) as (monitor, sender):
            child = await asyncio.create_subprocess_exec("true")
            await child.wait()
            for number, pid in enumerate((child.pid, os.getpid())):
                _write(tmp_path, b"%d\n" % number, pid=pid)
                assert await sender.line() == [str(number)]  # and so the monitor knows that the file was closed
            await monitor.flush(JOB)
            assert repr(monitor).startswith("<LogMonitor files=1 ")
            _write(tmp_path, b"again\n", pid=os.getpid())  # as by a child that opens /dev/stdout
            await monitor.flush(JOB)
            assert [line for *_, line in sender.now()] == ["again"]

    asyncio.run(scenario())


def test_an_unfinished_line_is_shipped_once_its_file_is_quiet(tmp_path):
    async def scenario():
        async with monitoring(tmp_path) as (_, sender):
            _write(tmp_path, b"password: ")
            assert await sender.line() == ["password: "]

    asyncio.run(scenario())


def test_files_of_other_nodes_and_other_kinds_are_left_alone(tmp_path):
    async def scenario():
        (tmp_path / "raylet.err").write_text("a\n")
        _write(tmp_path, b"not ours\n", node=b"m" * 28)
        async with monitoring(tmp_path) as (monitor, sender):
            await monitor.flush(JOB)
            assert sender.now() == []

    asyncio.run(scenario())


def test_a_log_monitor_that_takes_over_ships_what_comes_from_then_on(tmp_path):
    async def scenario():
        _write(tmp_path, b"old\n")
        async with monitoring(tmp_path, resume=True) as (monitor, sender):
            _write(tmp_path, b"new\n")
            await monitor.flush(JOB)
            assert sender.now() == [(JOB, "f", 7, False, "new")]

    asyncio.run(scenario())


def test_files_longer_than_one_read_come_whole_and_in_order(tmp_path):
    async def scenario():
        count = 3 * READ_BYTES // 100
        _write(tmp_path, b"".join(b"%099d\n" % number for number in range(count)))
        async with monitoring(tmp_path) as (monitor, sender):
            await monitor.flush(JOB)
            assert [int(line) for *_, line in sender.now()] == list(range(count))

    asyncio.run(scenario())
