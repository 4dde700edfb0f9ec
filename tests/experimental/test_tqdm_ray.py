"""Progress bars of many processes on one terminal.

Source: Ray docs, "Progress bars for distributed Python".
"""

import json
import os

import pytest
from driving import drive

from ray.experimental import tqdm_ray
from ray.experimental.tqdm_ray import BarManager


class FakeBar:
    """What the manager uses of `tqdm.tqdm`; `screen` keeps what would be seen."""

    made = []

    def __init__(self, desc, total, unit, leave):
        self.desc, self.total, self.unit, self.n, self.pos = desc, total, unit, 0, -len(FakeBar.made)
        self.visible, self.closed = False, False
        FakeBar.made.append(self)

    def set_description_str(self, desc, refresh):
        self.desc = desc

    def refresh(self):
        self.visible = True

    def clear(self):
        self.visible = False

    def close(self):
        self.closed, self.visible = True, False


@pytest.fixture
def manager():
    FakeBar.made = []
    return BarManager(FakeBar)


def _state(pid=7, uuid="u", x=1, pos=0, closed=False, desc="d"):
    return {
        "uuid": uuid,
        "x": x,
        "pos": pos,
        "desc": desc,
        "total": 5,
        "unit": "it",
        "ip": "10.0.0.1",
        "pid": pid,
        "closed": closed,
    }


def test_a_bar_follows_its_states_until_it_is_closed(manager):
    manager.process_state_update(_state(x=1))
    manager.process_json_line(json.dumps(_state(x=4, desc="late")))
    (bar,) = FakeBar.made
    assert (bar.n, bar.total, bar.desc, bar.visible) == (4, 5, "(7) late", True)
    manager.process_state_update(_state(x=5, closed=True))
    assert (bar.n, bar.closed) == (5, True)


def test_bars_of_a_process_stand_together_by_position_and_the_drivers_own_last(manager):
    for pid, pos in [(os.getpid(), 0), (9, 1), (7, 0), (9, 0)]:
        manager.process_state_update(_state(pid=pid, pos=pos, uuid=f"{pid}-{pos}", desc=f"{pid}-{pos}"))
    rows = [bar.desc for bar in sorted(FakeBar.made, key=lambda bar: -bar.pos)]
    assert rows == ["(7) 7-0", "(9) 9-0", "(9) 9-1", f"{os.getpid()}-0"]


def test_bars_make_room_for_what_is_printed(manager):
    manager.process_state_update(_state())
    manager.hide_bars()
    manager.process_state_update(_state(x=2))
    assert not FakeBar.made[0].visible
    manager.unhide_bars()
    assert FakeBar.made[0].visible


def test_a_line_that_is_no_state_harms_nobody(manager):
    manager.process_json_line('{"__magic_token__": "__ray_tqdm_magic_token__", "x":')
    assert FakeBar.made == []


def test_without_the_library_or_when_unwanted_nothing_is_drawn(manager, monkeypatch):
    BarManager(None).process_state_update(_state())
    monkeypatch.setenv("RAY_TQDM", "0")
    manager.process_state_update(_state())
    assert FakeBar.made == []


def test_a_bar_counts_what_it_iterates_over_and_needs_an_iterable_for_that(monkeypatch, manager):
    monkeypatch.setattr(tqdm_ray, "_manager", manager)
    bar = tqdm_ray.tqdm(range(3), desc="here", flush_interval_s=0)
    assert list(bar) == [0, 1, 2]
    assert (bar.n, bar.total) == (3, 3)
    assert [made.n for made in FakeBar.made] == [3]
    with pytest.raises(ValueError, match="no iterable"):
        next(iter(tqdm_ray.tqdm(total=1)))


def test_a_workers_bar_is_drawn_by_the_driver_and_its_lines_are_not_shown():
    body = """
from ray.experimental import tqdm_ray
@ray.remote
def f():
    print("unfinished", end="")
    for _ in tqdm_ray.tqdm(range(4), desc="work"):
        pass
    print("done")
ray.get(f.remote())
"""
    out, err = drive(body)
    assert out == ["(f pid=N) unfinished", "(f pid=N) done"]
    assert any("work" in line and "4/4" in line for line in err), err
