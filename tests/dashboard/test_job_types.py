"""Jobs as they are written down: states, requests, storage."""

import pytest

from ray.dashboard.modules.dashboard_sdk import ClusterInfo, parse_cluster_info, parse_runtime_env_args
from ray.dashboard.modules.job.common import (
    JobErrorType,
    JobInfo,
    JobInfoStorage,
    JobStatus,
    JobSubmitRequest,
    http_uri_components_to_uri,
    new_submission_id,
    uri_to_http_components,
)
from ray.job_submission import JobDetails


class Table:
    """`KeyValues` in memory."""

    def __init__(self):
        self.values = {}

    def get(self, key):
        return self.values.get(key)

    def put(self, key, value, overwrite):
        is_new = key not in self.values
        if is_new or overwrite:
            self.values[key] = value
        return is_new

    def delete(self, key):
        return self.values.pop(key, None) is not None

    def keys(self, prefix):
        return [key for key in self.values if key.startswith(prefix)]


def test_three_states_are_final():
    assert [status for status in JobStatus if status.is_terminal()] == ["STOPPED", "SUCCEEDED", "FAILED"]
    assert str(JobStatus.RUNNING) == "RUNNING" == JobStatus.RUNNING


@pytest.mark.parametrize(
    ("status", "message"),
    [
        ("PENDING", "Job has not started yet."),
        ("RUNNING", "Job is currently running."),
        ("STOPPED", "Job was intentionally stopped."),
        ("SUCCEEDED", "Job finished successfully."),
    ],
)
def test_each_state_has_its_message(status, message):
    assert JobInfo(status=status, entrypoint="x").message == message


def test_what_is_stored_comes_back():
    storage = JobInfoStorage(Table())
    info = JobInfo(JobStatus.PENDING, "python x.py", metadata={"a": "b"}, entrypoint_num_cpus=2, start_time=5)
    assert storage.add("j", info)
    assert not storage.add("j", JobInfo(JobStatus.PENDING, "other"))
    assert storage.get("j") == info and storage.all() == {"j": info}
    assert storage.get("k") is None
    assert storage.delete("j") and not storage.delete("j")


def test_a_final_state_stays():
    storage = JobInfoStorage(Table())
    storage.add("j", JobInfo(JobStatus.PENDING, "x"))
    storage.set_status("j", JobStatus.RUNNING, driver_node_id="n")
    failed = storage.set_status("j", JobStatus.FAILED, "why", error_type=JobErrorType.JOB_ENTRYPOINT_COMMAND_ERROR)
    assert failed.end_time is not None and failed.driver_node_id == "n"
    storage.set_status("j", JobStatus.SUCCEEDED)
    assert storage.get("j") == failed
    assert storage.set_status("none", JobStatus.RUNNING) is None


def test_submission_ids_differ_and_are_readable():
    ids = {new_submission_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(each.startswith("raysubmit_") and len(each) == 26 and each[10:].isalnum() for each in ids)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ([], "must be a JSON object"),
        ({}, "missing 1 required positional argument: 'entrypoint'"),
        ({"entrypoint": "x", "key": 1}, "unexpected keyword argument 'key'"),
        ({"entrypoint": 5}, "entrypoint must be a string, got <class 'int'>"),
        ({"entrypoint": "x", "submission_id": 5}, "submission_id must be a string"),
        ({"entrypoint": "x", "runtime_env": "y"}, "runtime_env must be a dict"),
        ({"entrypoint": "x", "metadata": {"a": 1}}, "metadata values must be strings, got <class 'int'>"),
        ({"entrypoint": "x", "entrypoint_num_cpus": "1"}, "entrypoint_num_cpus must be a number"),
        ({"entrypoint": "x", "entrypoint_num_cpus": True}, "entrypoint_num_cpus must be a number"),
        ({"entrypoint": "x", "entrypoint_memory": 1.5}, "entrypoint_memory must be a integer"),
        ({"entrypoint": "x", "entrypoint_resources": {"a": "1"}}, "entrypoint_resources values must be numbers"),
    ],
)
def test_wrong_requests_name_the_field(body, text):
    with pytest.raises(TypeError, match=text):
        JobSubmitRequest.parse(body)


def test_resources_decide_where_it_runs():
    assert not JobSubmitRequest("x").has_resources()
    assert JobSubmitRequest("x", entrypoint_num_cpus=1).has_resources()


def test_details_come_from_json():
    fields = {"type": "DRIVER", "status": "RUNNING", "entrypoint": "x", "driver_info": None}
    details = JobDetails(**fields, driver_node_id="n")
    assert details.status is JobStatus.RUNNING and details.dict()["type"] == "DRIVER"


def test_packages_have_a_protocol_and_a_name():
    for uri, parts in (("gcs://a.zip", ("gcs", "a.zip")), ("s3://bucket/b.whl", ("s3", "s3_bucket_b.whl"))):
        assert uri_to_http_components(uri)[0] == parts[0]
    assert http_uri_components_to_uri(*uri_to_http_components("gcs://a.zip")) == "gcs://a.zip"
    with pytest.raises(ValueError, match=r"does not end in \.zip or \.whl"):
        uri_to_http_components("gcs://a.txt")


def test_an_address_says_how_to_reach_a_dashboard(tmp_path, monkeypatch):
    assert parse_cluster_info("1.2.3.4:5").address == "http://1.2.3.4:5"
    assert parse_cluster_info("https://host", cookies={"a": "b"}) == ClusterInfo("https://host", {"a": "b"})
    (tmp_path / "my_scheme.py").write_text(
        "from ray.dashboard.modules.dashboard_sdk import ClusterInfo\n"
        "def get_job_submission_client_cluster_info(address, **options):\n"
        "    return ClusterInfo(address.upper(), headers={'given': sorted(options)})\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    info = parse_cluster_info("my_scheme://somewhere")
    options = ["cookies", "create_cluster_if_needed", "headers", "metadata"]
    assert (info.address, info.headers) == ("SOMEWHERE", {"given": options})
    with pytest.raises(RuntimeError, match=r"Module: no_such does not exist\."):
        parse_cluster_info("no_such://x")
    with pytest.raises(RuntimeError, match="does not have `get_job_submission_client_cluster_info`"):
        parse_cluster_info("json://x")


def test_an_environment_comes_by_file_or_json_but_not_both(tmp_path):
    file = tmp_path / "env.yaml"
    file.write_text("working_dir: here\nenv_vars: {A: '1'}\n")
    assert parse_runtime_env_args(str(file)) == {"working_dir": "here", "env_vars": {"A": "1"}}
    assert parse_runtime_env_args(str(file), working_dir="there")["working_dir"] == "there"
    assert parse_runtime_env_args(runtime_env_json='{"pip": ["x"]}') == {"pip": ["x"]}
    assert parse_runtime_env_args() == {}
    with pytest.raises(ValueError, match=r"Only one of --runtime_env and --runtime-env-json"):
        parse_runtime_env_args(str(file), "{}")
