"""What the kernel says of a directory."""

import asyncio
import struct

import pytest

from ray._core.agent import watch


def _event(mask, name=b""):
    padded = name + b"\0" * (-len(name) % 16) if name else b""
    return struct.pack("iIII", 1, mask, 0, len(padded)) + padded


def test_names_of_changed_and_closed_files_are_told_apart():
    data = _event(0x2, b"a.out") + _event(0x8, b"b.out") + _event(0x2, b"a.out")
    assert watch.parse_events(data) == ({"a.out", "b.out"}, {"b.out"}, False)


def test_an_overflow_is_told():
    assert watch.parse_events(_event(0x4000)) == (set(), set(), True)


@pytest.mark.parametrize("source", [watch._Inotify, watch._Poller])
def test_a_change_is_told_by_whatever_source_there_is(source, tmp_path):
    async def scenario():
        told = asyncio.Queue()
        watching = source(str(tmp_path), lambda names, _: told.put_nowait(names))
        for text in ("one", "two"):
            with open(tmp_path / "x.out", "a") as file:
                file.write(text)
            assert "x.out" in await asyncio.wait_for(told.get(), 10)
            while not told.empty():
                told.get_nowait()
        watching.close()

    asyncio.run(scenario())
