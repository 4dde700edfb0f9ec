"""Nothing passes the gate before the rows noted ahead of it are durable, and everything passes in order."""

import asyncio
import threading

from ray._core.gcs.journal import Journal
from ray._core.gcs.storage import StorageError


class SlowStorage:
    """Commits wait until they are let go; `failures` of them fail first."""

    def __init__(self, failures: int = 0) -> None:
        self.go = threading.Semaphore(0)
        self.commits: list = []
        self.failures = failures

    def load(self, table):
        return {}

    def commit(self, writes):
        self.go.acquire()
        if self.failures:
            self.failures -= 1
            raise StorageError("the disk is full")
        self.commits.append([(write.key, write.value) for write in writes])

    def close(self):
        pass


async def until(condition) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0)


def test_without_a_storage_everything_passes_at_once():
    passed = []
    journal = Journal(None)
    journal.put("t", b"k", b"v")
    journal.passes(lambda: passed.append(1))
    assert passed == [1]


def test_what_is_sent_after_a_write_waits_for_its_commit():
    async def run():
        storage, passed = SlowStorage(), []
        journal = Journal(storage)
        journal.passes(lambda: passed.append("before"))
        assert passed == ["before"]
        journal.put("t", b"1", b"a")
        journal.passes(lambda: passed.append("first"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)  # the first commit is under way: what comes now is of the second
        journal.put("t", b"2", b"b")
        journal.put("t", b"3", None)
        journal.passes(lambda: passed.append("second"))
        assert passed == ["before"]
        storage.go.release()
        await until(lambda: passed == ["before", "first"])
        storage.go.release()
        await until(lambda: passed == ["before", "first", "second"])
        assert storage.commits == [[(b"1", b"a")], [(b"2", b"b"), (b"3", None)]]
        await journal.close()

    asyncio.run(run())


def test_a_read_does_not_overtake_the_write_that_it_saw():
    async def run():
        storage, passed = SlowStorage(), []
        journal = Journal(storage)
        journal.put("t", b"1", b"a")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        journal.passes(lambda: passed.append("a read, nothing pending, while the commit is under way"))
        assert passed == []
        storage.go.release()
        await until(lambda: passed)
        await journal.close()

    asyncio.run(run())


def test_a_commit_that_fails_is_tried_again_and_nothing_passes_meanwhile(monkeypatch):
    monkeypatch.setattr("ray._core.gcs.journal.FIRST_RETRY_S", 0.0)

    async def run():
        storage, passed = SlowStorage(failures=3), []
        journal = Journal(storage)
        journal.put("t", b"1", b"a")
        journal.passes(lambda: passed.append(1))
        storage.go.release(3)
        await until(lambda: not storage.failures)
        assert passed == []
        storage.go.release()
        await until(lambda: passed == [1])
        await journal.close()

    asyncio.run(run())
