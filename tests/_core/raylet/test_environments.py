"""Environments of a node: built once, held while used, given back once; and how their workers start."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray._core.common import env_vars
from ray._core.raylet.environments import EnvironmentTable, ExecLaunch, ZygoteLaunch, launch_of

PIP = json.dumps({"pip": {"packages": ["a"]}})
VARIABLES = json.dumps({"env_vars": {"A": "1"}, "config": {}})


def test_no_environment_is_always_ready_and_never_given_back():
    table = EnvironmentTable()
    assert table.want("", "x") == "ready"
    assert table.context("") == ""
    assert not table.drop("")


def test_variables_take_no_agent_neither_to_build_nor_to_give_back():
    table = EnvironmentTable()
    assert table.want(VARIABLES, "x") == "ready"
    assert json.loads(table.context(VARIABLES)) == {"env_vars": {"A": "1"}}
    assert not table.drop(VARIABLES)


def test_an_environment_is_built_once_for_all_who_want_it():
    table = EnvironmentTable()
    assert [table.want(PIP, who) for who in "abc"] == ["build", "wait", "wait"]
    assert table.built(PIP, "{}") == ["a", "b", "c"]
    assert table.want(PIP, "d") == "ready"
    assert [table.drop(PIP) for _ in range(4)] == [False, False, False, True]


def test_a_failure_is_told_to_all_and_the_next_one_tries_again():
    table = EnvironmentTable()
    table.want(PIP, "a")
    table.want(PIP, "b")
    assert table.failed(PIP) == ["a", "b"]
    assert table.want(PIP, "c") == "build"


@given(
    st.lists(st.tuples(st.sampled_from(["want", "built", "failed", "hold", "drop"]), st.integers(0, 2)), min_size=15)
)
def test_it_is_given_back_exactly_when_nobody_holds_it(steps):
    table, holders, ready = EnvironmentTable(), {}, {}
    for action, number in steps:
        text = json.dumps({"pip": number})
        held = holders.get(text, 0)
        if action == "want":
            state = table.want(text, number)
            assert state == ("build" if not held else "ready" if ready[text] else "wait")
            holders[text], ready[text] = held + 1, ready.get(text, False) and bool(held)
        elif action == "built" and held and not ready[text]:
            assert len(table.built(text, "{}")) == held
            ready[text] = True
        elif action == "failed" and held and not ready[text]:
            assert len(table.failed(text)) == held
            holders[text] = 0
        elif action == "hold" and held and ready[text]:
            table.hold(text)
            holders[text] += 1
        elif action == "drop" and held and ready[text]:
            holders[text] -= 1
            assert table.drop(text) == (holders[text] == 0)


def context(**fields):
    return json.dumps(fields)


def test_variables_and_a_directory_are_for_the_zygote():
    assert launch_of("", "/py") == ZygoteLaunch({}, "")
    given_context = context(command_prefix=["cd '/a b' &&"], env_vars={"X": "1"}, py_executable="/py")
    assert launch_of(given_context, "/py") == ZygoteLaunch({"X": "1"}, "/a b")


@pytest.mark.parametrize(
    "fields",
    [
        {"py_executable": "/venv/bin/python"},
        {"py_executable": "/py", "command_prefix": ["conda activate x &&"]},
        {"py_executable": "/py", "override_worker_entrypoint": "/elsewhere.py"},
        {"py_executable": "/py", "env_vars": {"PYTHONHASHSEED": "1"}},
        {"py_executable": "/py", "env_vars": {"LD_PRELOAD": "x.so"}},
        {"py_executable": "/py", "of_a_plugin": 1},
    ],
)
def test_whatever_the_zygote_cannot_change_takes_a_fresh_interpreter(fields):
    assert launch_of(context(**fields), "/py") == ExecLaunch(context(**fields))


def test_values_refer_to_what_is_set_before_them():
    environ = {"PATH": "/bin"}
    env_vars.apply({"A": "1", "B": "${A}:${PATH}:${NONE}", "PATH": "${PATH}:/x", "C": "$A"}, environ)
    assert environ == {"PATH": "/bin:/x", "A": "1", "B": "1:/bin:", "C": "$A"}


def test_pythonpath_takes_no_fresh_interpreter():
    assert not env_vars.need_fresh_interpreter({"PYTHONPATH": "/a", "MY_LD_": "x"})
