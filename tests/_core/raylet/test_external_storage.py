"""Storages of spilled objects behave alike: bytes come back, files go, bad settings are told by name."""

import os
import random
import time

import pytest

from ray._core.raylet.external_storage import FileStorage, storage_of
from ray._core.raylet.spill_table import Url


@pytest.fixture(params=["files", "several directories", "memory://"])
def storage(request, tmp_path):
    if request.param == "memory://":
        made = storage_of('{"type": "smart_open", "params": {"uri": "memory://bucket/path"}}', "", "node")
    elif request.param == "files":
        made = storage_of("", str(tmp_path), "node")
    else:
        config = f'{{"type": "filesystem", "params": {{"directory_path": ["{tmp_path}/a", "{tmp_path}/b"]}}}}'
        made = storage_of(config, "", "node")
    made.validate()
    yield made
    made.destroy()


def test_objects_of_one_file_come_back_each_for_itself(storage):
    data = {bytes([number]) * 28: bytes([number]) * number * 1000 for number in range(1, 6)}
    urls = storage.spill({key: memoryview(value) for key, value in data.items()})
    assert len({url.path for url in urls.values()}) == 1
    for key, value in data.items():
        target = bytearray(len(value))
        storage.restore(urls[key], memoryview(target))
        assert bytes(target) == value
        part = bytearray(500)
        storage.restore(urls[key], memoryview(part), 500)
        assert bytes(part) == value[500:1000]


def test_what_was_deleted_cannot_be_read_and_deleting_again_is_fine(storage):
    (url,) = storage.spill({b"k": memoryview(b"data")}).values()
    storage.delete(url.path)
    storage.delete(url.path)
    with pytest.raises(OSError):
        storage.restore(url, memoryview(bytearray(4)))


def test_a_short_file_is_an_error(tmp_path):
    storage = FileStorage([str(tmp_path)], "node")
    (url,) = storage.spill({b"k": memoryview(b"data")}).values()
    with pytest.raises(OSError, match="ends after 4 bytes"):
        storage.restore(Url(url.path, 0, 8), memoryview(bytearray(8)))


def test_directories_are_taken_in_turn_and_destroyed_with_everything(tmp_path):
    storage = FileStorage([str(tmp_path / "a"), str(tmp_path / "b")], "node")
    for _ in range(4):
        storage.spill({b"k": memoryview(b"data")})
    assert [len(os.listdir(tmp_path / name / "ray_spilled_objects_node")) for name in "ab"] == [2, 2]
    storage.destroy()
    assert [os.listdir(tmp_path / name) for name in "ab"] == [[], []]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("{", "is no JSON"),
        ('{"type": "tape"}', "type 'tape'"),
        ('{"type": "filesystem", "params": {"directory_path": 3}}', "directory_path"),
        ('{"type": "smart_open", "params": {}}', "uri"),
    ],
)
def test_bad_settings_are_told_by_name(config, message):
    with pytest.raises(ValueError, match=message):
        storage_of(config, "/tmp", "node")


def test_an_unstable_storage_fails_at_times_and_a_slow_one_takes_its_time(tmp_path, monkeypatch):
    def asked_for(kind):
        return storage_of(f'{{"type": "{kind}", "params": {{"directory_path": "{tmp_path}/{kind}"}}}}', "", "node")

    unstable = asked_for("unstable_fs")
    monkeypatch.setattr(random, "random", iter([0.5, 0.05, 0.2]).__next__)
    unstable.spill({b"k": memoryview(b"data")})
    with pytest.raises(OSError, match="Spilling object failed"):
        unstable.spill({b"k": memoryview(b"data")})
    unstable.spill({b"k": memoryview(b"data")})

    naps = []
    monkeypatch.setattr(time, "sleep", naps.append)
    slow = asked_for("slow_fs")
    (url,) = slow.spill({b"k": memoryview(b"data")}).values()
    target = bytearray(4)
    slow.restore(url, memoryview(target))
    assert bytes(target) == b"data" and len(naps) == 2 and max(naps) <= 1
