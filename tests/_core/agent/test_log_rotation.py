"""Logs stay small while they are written and read, and nothing is lost."""

import asyncio
import logging
import tempfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray._core.agent import log_rotation
from ray._core.agent.log_lines import LogStream
from ray._core.agent.log_monitor import LogMonitor
from ray._core.agent.log_rotation import Rotator, first_block, limits
from ray._core.common import log_markers

NODE, JOB = b"n" * 28, b"\1\0\0\0"
NAME = "worker-ab-ffffffff-7.out"


def test_limits_come_from_the_variables_that_users_know():
    assert limits({}) == (512 << 20, 5)
    assert limits({"RAY_ROTATION_MAX_BYTES": "100", "RAY_ROTATION_BACKUP_COUNT": "0"}) == (100, 0)
    with pytest.raises(ValueError, match="RAY_ROTATION_MAX_BYTES='1 GB'"):
        limits({"RAY_ROTATION_MAX_BYTES": "1 GB"})


@given(st.binary(max_size=60), st.binary(max_size=20), st.binary(max_size=20), st.binary(max_size=20))
def test_the_first_block_fits_and_keeps_the_beginning_of_the_line_that_goes_on(old, header, notice, footer):
    made = first_block(old, header, notice, footer)
    if made is not None:
        block, kept = made
        assert len(block) == len(old) and block.startswith(header + notice)
        beginning = old[len(old) - kept :]
        assert b"\n" not in beginning and block.endswith(b"\n" + footer + beginning)


class Sender:
    def __init__(self):
        self.lines = []

    def send(self, message):
        self.lines += [(each.job_id, each.name, line) for each in message.batch for line in each.lines]

    async def drain(self):
        await asyncio.sleep(0)


@pytest.mark.parametrize("collapses", [True, False])
def test_a_worker_that_prints_without_end(tmp_path, monkeypatch, collapses):
    """Every line is shipped once, and is in the file or a backup; a reader of the file knows whose its lines are."""
    if not collapses:
        monkeypatch.setattr(log_rotation, "_can_collapse", lambda directory, block: False)
    elif not log_rotation._can_collapse(str(tmp_path), 4096):
        pytest.skip("the file system of the temp dir cannot take away the beginning of a file")
    lines = [f"line {number} {'x' * (number % 90)}" for number in range(3000)]

    async def scenario():
        sender = Sender()
        monitor = LogMonitor(str(tmp_path), NODE, "10.0.0.1", sender, rotator=Rotator(str(tmp_path), 20_000, 100))
        monitor.start()
        with open(tmp_path / NAME, "ab", buffering=0) as file:
            file.write(log_markers.header(NODE) + log_markers.marker(log_markers.JOB, JOB.hex()))
            file.write(log_markers.marker(log_markers.TASK, "f"))
            for number in range(0, len(lines), 100):
                file.write("".join(f"{line}\n" for line in lines[number : number + 100]).encode())
                await monitor.flush(JOB)
                while monitor._rotations:
                    await asyncio.sleep(0.001)
        monitor.close()
        return sender.lines

    shipped = asyncio.run(scenario())
    assert shipped == [(JOB, "f", line) for line in lines]
    assert (tmp_path / NAME).stat().st_size < 40_000
    backups = sorted(tmp_path.glob(f"{NAME}.*"), key=lambda path: -int(path.suffix[1:]))
    assert len(backups) >= 3
    text = b"".join(path.read_bytes() for path in [*backups, tmp_path / NAME]).decode().splitlines()
    assert [line for line in text if line.startswith("line ")] == lines
    stream = LogStream(NODE)
    [*_, last] = stream.feed((tmp_path / NAME).read_bytes())
    assert (last.job_id, last.name, last.lines[-1]) == (JOB, "f", lines[-1]) and not stream.is_foreign


def test_other_logs_rotate_as_often_as_they_are_full_and_the_oldest_goes(tmp_path):
    async def scenario():
        rotator = Rotator(str(tmp_path), 10_000, 2)
        for number in range(4):
            with open(tmp_path / "gcs_server.err", "a") as file:
                file.write(f"{number} {'y' * 50}\n" * 300)
            size = (tmp_path / "gcs_server.err").stat().st_size
            assert rotator.is_due("gcs_server.err", size)
            assert await rotator.rotate("gcs_server.err", size) > 0
        assert not rotator.is_due("job-driver-x.log", 1 << 40) and not rotator.is_due("x.out.1", 1 << 40)

    asyncio.run(scenario())
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["gcs_server.err", "gcs_server.err.1", "gcs_server.err.2"]
    assert "2 y" in (tmp_path / "gcs_server.err.2").read_text()


def test_one_that_cannot_be_rotated_is_told_and_stays(tmp_path, caplog):
    with caplog.at_level(logging.ERROR), tempfile.TemporaryDirectory() as elsewhere:
        assert asyncio.run(Rotator(elsewhere, 1, 1).rotate("raylet.err", 100)) == 0
    assert "raylet.err could not be rotated" in caplog.text
