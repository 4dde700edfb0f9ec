"""The file behind the arena: one map of both, shared between processes, nothing left on disk."""

import os
import subprocess
import sys

from ray._core.common.overflow import Overflow
from ray._core.store.arena import Arena

SIZE = 1 << 20


def test_what_one_process_writes_behind_the_arena_another_reads(tmp_path):
    path = tmp_path / "arena"
    path.write_bytes(bytes(SIZE))
    overflow = Overflow(str(tmp_path), 1.0)
    arena = Arena(str(path), SIZE, overflow.path, overflow.size)
    assert overflow.reserve(0, 8192)
    arena.window(SIZE - 4, 4)[:] = b"last"
    arena.window(SIZE, 5)[:] = b"first"
    script = f"""
from ray._core.store.arena import Arena
arena = Arena({str(path)!r}, {SIZE}, {overflow.path!r}, {overflow.size})
print(bytes(arena.window({SIZE - 4}, 9)))
arena.window({SIZE}, 5)[:] = b"there"
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "b'lastfirst'"
    assert bytes(arena.window(SIZE, 5)) == b"there"
    assert path.read_bytes()[-4:] == b"last"
    arena.close()
    overflow.close()


def test_room_on_disk_is_given_back_and_no_file_is_left(tmp_path):
    overflow = Overflow(str(tmp_path), 1.0)
    assert os.listdir(tmp_path) == []
    assert overflow.reserve(0, 4 << 20)
    taken = os.stat(overflow.path).st_blocks
    overflow.release(0, 4 << 20)
    assert os.stat(overflow.path).st_blocks < taken
    overflow.close()


def test_a_full_disk_is_told(tmp_path):
    overflow = Overflow(str(tmp_path), 1.0)
    assert not overflow.reserve(0, 1 << 50)
    assert os.stat(overflow.path).st_size == overflow.size
    overflow.close()
