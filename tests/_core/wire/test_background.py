"""What runs beside a handler is held until it ends, and its failure is told."""

import asyncio
import gc
from types import SimpleNamespace

from ray._core.common import messages as m
from ray._core.wire.background import Background


def run(main):
    """Run the coroutine; returns what the loop's exception handler was told."""
    told = []

    async def whole():
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        await main()
        await asyncio.sleep(0)  # callbacks of what has ended

    asyncio.run(whole())
    return told


def test_it_is_held_until_it_ends():
    done = []

    async def main():
        async def work():
            done.append(await asyncio.get_running_loop().create_task(asyncio.sleep(0, "result")))

        background = Background()
        background.start(work())
        gc.collect()
        while len(background):
            await asyncio.sleep(0)

    assert run(main) == []
    assert done == ["result"]


def test_a_failure_is_told_and_fails_the_request():
    failed = []

    async def main():
        async def work():
            raise ValueError("wrong")

        connection = SimpleNamespace(fail=lambda request, kind, text: failed.append((request, kind, text)))
        background, request = Background(), m.ListNodes()
        background.answer(connection, request, work())
        while not failed:
            await asyncio.sleep(0)
        assert failed[0][0] is request

    [told] = run(main)
    assert isinstance(told["exception"], ValueError)
    assert failed[0][1] == "internal"
    assert "ListNodes could not be answered (ValueError('wrong'))" in failed[0][2]


def test_what_is_cancelled_ends_without_a_word():
    async def main():
        background = Background()
        background.start(asyncio.sleep(60))
        await asyncio.sleep(0)
        background.cancel()
        while len(background):
            await asyncio.sleep(0)

    assert run(main) == []
