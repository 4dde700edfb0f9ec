"""Waits stay awake in a chain of quick answers, and only there."""

import os

from hypothesis import given
from hypothesis import strategies as st

from ray._core.wire.alert_poll import AWAKE_S, BRISK_S, PENALTY_MAX, Alertness, AlertPoll, AlertSelector

LOOK_S = 1e-6


class Machine:
    """A clock, and something that comes after a while."""

    def __init__(self):
        self.now_s = 0.0
        self.comes_at_s = 0.0
        self.slept = 0
        self.others_turn_s = 0.0
        self.poll = AlertPoll(self._poll, lambda: self.now_s, self._yield_cpu)

    def _poll(self, timeout_s):
        self.now_s += LOOK_S
        if timeout_s == 0:
            return ["it"] if self.now_s >= self.comes_at_s else []
        self.slept += 1
        end_s = self.comes_at_s if timeout_s is None else min(self.comes_at_s, self.now_s + timeout_s)
        self.now_s = max(self.now_s, end_s)
        return ["it"] if self.now_s >= self.comes_at_s else []

    def _yield_cpu(self):
        self.now_s += self.others_turn_s

    def wait(self, for_s, timeout_s=None):
        """Whether the wait slept."""
        before, self.comes_at_s = self.slept, self.now_s + for_s
        assert self.poll(timeout_s) == (["it"] if timeout_s is None or for_s <= timeout_s else [])
        return self.slept > before


def test_the_first_of_quick_answers_is_slept_for_and_the_others_are_not():
    machine = Machine()
    assert [machine.wait(50e-6) for _ in range(5)] == [True, False, False, False, False]


def test_what_takes_longer_is_slept_for():
    machine = Machine()
    assert all(machine.wait(BRISK_S + 1e-6) for _ in range(5))


def test_a_wait_that_is_awake_in_vain_goes_to_sleep_and_the_next_one_sleeps_at_once():
    machine = Machine()
    machine.wait(50e-6)
    assert machine.wait(1.0)
    began_s = machine.now_s
    assert machine.wait(50e-6)
    assert machine.now_s - began_s < AWAKE_S


def test_it_is_awake_no_longer_than_its_time():
    machine = Machine()
    machine.wait(50e-6)
    began_s = machine.now_s
    machine.wait(1.0, timeout_s=20e-6)
    assert machine.now_s - began_s < 50e-6


def test_a_look_without_waiting_is_one_look_and_teaches_nothing():
    machine = Machine()
    machine.wait(50e-6)
    machine.comes_at_s = machine.now_s + 1
    assert machine.poll(0) == []
    assert not machine.wait(50e-6)


def test_an_interrupt_is_no_sign_that_others_want_the_cpu():
    machine = Machine()
    machine.wait(50e-6)
    for _ in range(100):
        machine.others_turn_s = 60e-6
        assert not machine.wait(50e-6)
        machine.others_turn_s = 0.0
        assert not machine.wait(50e-6)


def test_where_others_want_the_cpu_hardly_any_wait_is_awake():
    machine = Machine()
    machine.others_turn_s = 3e-3
    slept = [machine.wait(50e-6) for _ in range(3000)]
    assert sum(slept) >= 2990


def test_once_the_others_have_gone_it_is_awake_again():
    machine = Machine()
    machine.others_turn_s = 3e-3
    for _ in range(3000):
        machine.wait(50e-6)
    machine.others_turn_s = 0.0
    slept = [machine.wait(50e-6) for _ in range(3000)]
    assert not any(slept[-1000:])


@given(st.lists(st.sampled_from(["slept", "came", "in_vain", "disturbed"]), min_size=15))
def test_no_history_makes_it_sleep_for_ever(history):
    alertness = Alertness()
    for event in history:
        if event == "slept":
            alertness.slept(50e-6)
        elif alertness.is_brisk:
            getattr(alertness, event)()
    for _ in range(int(PENALTY_MAX) + 1):
        if not alertness.is_brisk:
            alertness.slept(50e-6)
    assert alertness.is_brisk


def test_the_selector_of_a_loop_tells_what_is_readable():
    selector, (reader, writer) = AlertSelector(), os.pipe()
    try:
        selector.register(reader, 1, "data")
        assert selector.select(0) == []
        os.write(writer, b"x")
        for _ in range(3):
            [(key, events)] = selector.select(None)
            assert (key.data, events) == ("data", 1)
    finally:
        selector.close()
        os.close(reader)
        os.close(writer)
