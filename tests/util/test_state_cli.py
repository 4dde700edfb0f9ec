"""`ray list`, `ray get`, `ray summary`, `ray logs`, `ray timeline`.

Source: Ray docs, "State CLI".
"""

import json
import re

import pytest
from click.testing import CliRunner

import ray
from ray.scripts.scripts import cli
from ray.util.state.state_cli import parse_filters
from ray.util.state.state_text import readable, table, yaml


@ray.remote
class Speaker:
    def say(self):
        print("spoken")


@pytest.fixture(scope="module")
def actor_id():
    ray.init(num_cpus=1, log_to_driver=False)
    actor = Speaker.options(name="star").remote()
    ray.get(actor.say.remote())
    yield actor._actor_id.hex()
    ray.shutdown()


def run(*command, status=0):
    """What the command prints about this process's cluster."""
    address = ray.get_runtime_context().gcs_address
    done = CliRunner().invoke(cli, [*command, "--address", address])
    assert done.exit_code == status, done.output
    return done.output


WHOLE = "Set to -1 for getting the entire file. ---"


def node_ip(node_id):
    return next(node["NodeManagerAddress"] for node in ray.nodes() if node["NodeID"] == node_id)


def test_a_list_is_a_table_with_its_total(actor_id):
    said = run("list", "actors")
    assert re.search(r"======== List: \d{4}-\d\d-\d\d .* ========\nStats:\n-+\nTotal: 1\n\nTable:\n-+\n", said)
    head, row = said.rstrip().splitlines()[-2:]
    assert head.split()[:3] == ["ACTOR_ID", "CLASS_NAME", "STATE"]
    assert row.split()[:4] == ["0", actor_id, "Speaker", "ALIVE"]
    said = run("list", "nodes")
    assert re.search(r" memory: \d+\.\d{3} GiB\n", said) and re.search(r"CPU: \d", said)
    assert re.search(r"start_time_ms: '20\d\d-\d\d-\d\d ", run("list", "nodes", "--detail"))
    with pytest.warns(UserWarning, match=r"Limit last 1 entries \(Total \d\)"):
        assert "Total: 1\n" in run("list", "tasks", "--limit", "1")


def test_a_list_may_be_json_yaml_or_detailed(actor_id):
    (row,) = json.loads(run("list", "actors", "--format", "json"))
    assert row["actor_id"] == actor_id and row["required_resources"] is None
    assert f"-   actor_id: {actor_id}\n" in run("list", "actors", "--format", "yaml")
    detailed = run("list", "tasks", "-f", "name=Speaker.say", "--detail")
    assert detailed.startswith("---\n-   task_id: ") and "func_or_class_name: Speaker.say" in detailed


def test_filters_narrow_a_list_down_to_nothing(actor_id):
    assert run("list", "actors", "-f", "state=dead") == "No resource in the cluster\n"
    assert "Total: 1" in run("list", "actors", "-f", "state!=dead", "--filter", "name=star")
    assert "Available filter keys are: actor_id" in run("list", "actors", "-f", "x=y", status=2)
    assert "key=value" in run("list", "actors", "-f", "nonsense", status=2)


def test_one_entry_is_shown_whole(actor_id):
    assert "num_restarts: 0\n" in run("get", "actors", actor_id)
    missing = "ab" * 16
    assert run("get", "actors", missing) == f"Resource with id={missing} not found in the cluster.\n"
    assert "Missing argument 'ID'. Do you mean 'ray list nodes'?" in run("get", "nodes", status=2)


def test_summaries_count(actor_id):
    assert re.search(r"0   Speaker\.__init__|0   Speaker\.say +FINISHED: 1 +ACTOR_TASK", run("summary", "tasks"))
    said = run("summary", "actors")
    assert "total_actors: 1\n" in said and re.search(r"0   Speaker +ALIVE: 1", said)
    assert "total_objects: " in run("summary", "objects")


def test_logs_are_listed_and_printed(actor_id):
    listed = run("logs")
    assert re.match(r"Node IP: [\d.]+\n---\n", listed) and "\nraylet:\n- raylet.err\n" in listed
    assert run("logs", "actor", "--id", actor_id, "--tail", "-1") == "spoken\n"
    pid = json.loads(run("list", "actors", "--format", "json"))[0]["pid"]
    node_id = ray.get_runtime_context().get_node_id()
    assert run("logs", "actor", "--pid", str(pid), "--node-id", node_id, "--tail", "-1") == "spoken\n"
    assert run("logs", "worker", "--pid", str(pid), "--node-ip", node_ip(node_id), "--tail", "-1") == "spoken\n"
    assert "spoken" not in run("logs", "worker", "--pid", str(pid), "--err")
    [task] = json.loads(run("list", "tasks", "-f", "name=Speaker.say", "--format", "json"))
    said = run("logs", "task", "--id", task["task_id"], "--attempt-number", "0", "--tail", "1", "--encoding", "ascii")
    assert said == f"--- Log has been truncated to last 1 lines. Use `--tail` flag to toggle. {WHOLE}\n\nspoken\n"
    assert "no job with the submission id nobody" in run("logs", "job", "--id", "nobody", status=1)
    assert "At least one of `--pid` and `--id` has to be set" in run("logs", "actor", status=2)
    found_none = run("logs", "nothing*")
    assert "No log file there is called 'nothing*'" in found_none and found_none.endswith("\n--- {}\n...\n\n")


def test_the_timeline_is_written(actor_id, tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    path = re.match(r"Trace file written to (\S+)\.\n", run("timeline"))[1]
    with open(path) as file:
        assert [event["name"] for event in json.load(file)] == ["say"]


def test_a_cluster_that_is_not_there_is_said(actor_id):
    done = CliRunner().invoke(cli, ["list", "actors", "--address", "127.0.0.1:1"])
    assert done.exit_code == 2 and "127.0.0.1:1" in done.output


# ------------------------------------------------------------------ text


def test_columns_are_aligned_numbers_to_the_right():
    rows = [["a", 5, {"b": 1, "a": "007"}], ["longer", 10, {}], [None, None, None]]
    assert table(["NAME", "N", "X"], rows).splitlines() == [
        "    NAME      N  X",
        " 0  a         5  a: '007'",
        "                 b: 1",
        " 1  longer   10",
        " 2",
    ]
    assert table(["N"], [["a"]], number_right=False) == "    N\n0   a"
    assert table(["N"], []) == "    N"


def test_yaml_quotes_what_would_read_back_as_something_else():
    row = {"id": "0100", "hex": "0a1b", "count": 5, "none": None, "yes": "yes", "text": "it's\ntwo", "ip": "10.0.0.1"}
    value = [row]
    assert yaml(value) == (
        "---\n-   id: '0100'\n    hex: 0a1b\n    count: 5\n    none: null\n    'yes': 'yes'\n"
        '    text: "it\'s\\ntwo"\n    ip: 10.0.0.1\n...'
    )


def test_yaml_nests():
    value = {"a": {"b": [1, {"c": "d"}]}, "empty": {}, "list": []}
    assert yaml(value) == "---\na:\n    b:\n    -   1\n    -   c: d\nempty: {}\nlist: []\n..."


def test_times_become_dates():
    assert readable({"memory": 3 << 29, "end_time_ms": None}) == {"memory": "1.500 GiB", "end_time_ms": None}
    assert re.match(r"19(70|69)-", readable({"events": [{"created_ms": 1000.5}]})["events"][0]["created_ms"])


def test_filters_are_read():
    assert parse_filters(["a=b", "c != d=e"]) == [("a", "=", "b"), ("c", "!=", "d=e")]
