"""Names that Ray's tests and third parties import though they are not public: they are there, and do what they say."""

import importlib
import json
import logging
import threading

import pytest

import ray
from ray._common.filters import CoreContextFilter
from ray._common.formatters import JSONFormatter, TextFormatter
from ray._common.runtime_env_uri import Protocol, parse_uri
from ray._common.serialization import pickle_dumps
from ray._common.test_utils import MetricSamplePattern, PrometheusTimeseries, fetch_prometheus_metrics
from ray._core.wire import auth
from ray._private import authentication_test_utils as tokens
from ray._private import gcs_utils, label_utils, ray_constants, services
from ray._private.ray_logging import setup_component_logger
from ray._private.runtime_env.packaging import get_uri_for_directory, get_uri_for_file
from ray._private.runtime_env.uri_cache import URICache
from ray._private.state_api_test_utils import verify_failed_task, wait_for_task_states
from ray._private.test_utils import (
    convert_actor_state,
    get_metric_check_condition,
    make_global_state_accessor,
    no_resource_leaks_excluding_node_resources,
    object_memory_usage,
    raw_metric_timeseries,
    request_with_auth_token,
    wait_for_condition,
)
from ray._raylet import GcsClientOptions, GlobalStateAccessor
from ray.autoscaler._private.commands import debug_status
from ray.autoscaler.sdk import request_resources
from ray.core.generated import common_pb2, gcs_pb2, node_manager_pb2
from ray.runtime_env import runtime_env

INIT = {"namespace": "surface"}
NAMES = {
    "ray._common.logging_constants": "LogKey LOGRECORD_STANDARD_ATTRS",
    "ray._common.ray_option_utils": "task_options",
    "ray._private.worker": "print_worker_logs connect disconnect",
    "ray.autoscaler._private.fake_multi_node.node_provider": "FakeMultiNodeProvider",
    "ray.autoscaler._private.cli_logger": "cli_logger",
    "ray.core.generated.instance_manager_pb2": "Instance",
    "ray.dashboard.utils": "ray_address_to_api_server_url",
    "ray.dashboard.modules.log.log_manager": "LogsManager",
    "ray.dashboard.modules.state.state_head": "StateHead",
    "ray._private.runtime_env.agent.runtime_env_agent": "ReferenceTable UriType",
    "ray._private.internal_api": "memory_summary get_state_from_address get_memory_info_reply",
    "ray._private.profiling": "chrome_tracing_dump",
    "ray._raylet": "GlobalStateAccessor SerializedObject RAY_NODE_ID_KEY",
    "ray.core.generated.common_pb2": "CoreWorkerStats TaskInfoEntry TaskStatus",
    "ray.util.client.common": "ClientActorClass ClientObjectRef GRPC_OPTIONS INT32_MAX OBJECT_TRANSFER_WARNING_SIZE",
    "ray.util.state.api": "get_log list_logs list_tasks",
    "ray.util.state.common": "AVAILABLE_STATES GetLogOptions Humanify ListApiResponse StateSchema filter_fields",
    "ray.util.state.state_cli": "AvailableFormat _parse_filter format_list_api_output summary_state_cli_group",
    "ray._common.filters": "CoreContextFilter",
    "ray._common.formatters": "JSONFormatter TextFormatter",
    "ray._common.runtime_env_uri": "Protocol parse_uri",
    "ray._private.ray_logging.logging_config": "LoggingConfig",
    "ray._private.runtime_env.packaging": "GCS_STORAGE_MAX_SIZE Protocol get_uri_for_directory unzip_package",
    "ray._private.runtime_env.pip": "PipPlugin PipProcessor",
    "ray._private.runtime_env.uv": "UvPlugin get_uri",
    "ray._private.runtime_env.working_dir": "WorkingDirPlugin upload_working_dir_if_needed",
    "ray._private.runtime_env.py_modules": "PyModulesPlugin upload_py_modules_if_needed",
    "ray._private.runtime_env.image_uri": "ContainerPlugin ImageURIPlugin",
    "ray._private.runtime_env.constants": "RAY_JOB_CONFIG_JSON_ENV_VAR RAY_RUNTIME_ENV_PLUGIN_SCHEMAS_ENV_VAR",
    "ray._private.runtime_env.plugin": "RAY_RUNTIME_ENV_PLUGINS_ENV_VAR RAY_RUNTIME_ENV_PLUGIN_MAX_PRIORITY",
    "ray._private.runtime_env.plugin_schema_manager": "RuntimeEnvPluginSchemaManager",
    "ray._private.runtime_env.protocol": "Protocol",
    "ray._private.runtime_env.utils": "SubprocessCalledProcessError check_output_cmd",
    "ray._private.runtime_env.nsight": "NsightPlugin",
    "ray._private.runtime_env.py_executable": "PyExecutablePlugin",
    "ray._private.runtime_env.rocprof_sys": "RocprofSysPlugin",
    "ray._private.runtime_env.java_jars": "JavaJarsPlugin",
    "ray._private.ray_logging": "LogDeduplicator",
    "ray._private.authentication.authentication_constants": "AUTHORIZATION_HEADER_NAME",
    "ray._common.usage.usage_constants": "USAGE_STATS_NAMESPACE",
    "ray.dashboard.modules.job.cli": "job_cli_group list submit",
    "ray.dashboard.modules.job.common": "validate_request_type JobSubmitResponse JobLogsResponse",
    "ray.dashboard.modules.version": "CURRENT_VERSION",
    "ray._private.client_mode_hook": "_explicitly_enable_client_mode _set_client_hook_status",
    "ray._common.ray_constants": "LOGGING_ROTATE_BYTES LOGGING_ROTATE_BACKUP_COUNT",
    "ray._private.external_storage": "ExternalStorage FileSystemStorage create_url_with_offset parse_url_with_offset",
    "ray._private.log_monitor": "LOG_NAME_UPDATE_INTERVAL_S LogFileInfo LogMonitor is_proc_alive",
    "ray._private.metrics_agent": "PrometheusServiceDiscoveryWriter RAY_WORKER_TIMEOUT_S",
    "ray._private.node": "Node",
    "ray._private.parameter": "RayParams",
    "ray._private.ray_constants": "KV_NAMESPACE_SESSION RAY_ADDRESS_ENVIRONMENT_VARIABLE REDIS_DEFAULT_PASSWORD",
    "ray._private.state_api_test_utils": "StateAPICallSpec create_api_options get_state_api_manager verify_schema",
    "ray._private.test_utils": (
        "Semaphore async_wait_for_condition get_node_stats check_spilled_mb generate_runtime_env_dict "
        "kill_raylet kill_processes RayletKiller"
    ),
    "ray._private.services": "start_ray_process get_node_ip_address",
    "ray._private.utils": "get_master_wheel_url get_current_node_cpu_model_name try_import_each_module update_envs",
    "ray.autoscaler._private.constants": "AUTOSCALER_METRIC_PORT AUTOSCALER_UPDATE_INTERVAL_S",
    "ray.autoscaler.node_provider": "NodeProvider",
    "ray.autoscaler.v2.sdk": "get_cluster_status",
    "ray.autoscaler.v2.utils": "is_autoscaler_v2",
    "ray.core.generated.gcs_service_pb2_grpc": "InternalKVGcsServiceStub",
    "ray.core.generated.reporter_pb2": "StreamLogRequest",
    "ray.dashboard.consts": "DASHBOARD_METRIC_PORT",
    "ray.dashboard.state_aggregator": "StateAPIManager",
    "ray.util.state.state_manager": "StateDataSourceClient",
}


@pytest.mark.parametrize("module", NAMES)
def test_names_can_be_imported(module):
    for name in NAMES[module].split():
        assert hasattr(importlib.import_module(module), name), name


def test_modules_are_reached_as_attributes():
    assert ray._private.services is services
    assert ray._private.runtime_env.context.RuntimeEnvContext
    assert ray._common.utils.env_integer
    assert ray.worker is ray._private.worker
    for package in (ray._private, ray._common, ray.experimental, ray.autoscaler, ray._private.runtime_env):
        with pytest.raises(AttributeError, match="no_such_module"):
            _ = package.no_such_module


def test_what_is_absent_says_so_at_its_use_and_not_before():
    message = node_manager_pb2.SomeRequest.SomeEnum
    with pytest.raises(NotImplementedError, match=r"node_manager_pb2.SomeRequest is not included"):
        node_manager_pb2.SomeRequest(name=1)
    with pytest.raises(NotImplementedError, match="SomeEnum"):
        assert message == 3


def test_a_class_derived_from_an_absent_one_is_refused_only_when_it_is_made():
    from ray.autoscaler._private.autoscaler import StandardAutoscaler

    class Derived(StandardAutoscaler):
        size: StandardAutoscaler | None = None

        def __init__(self):
            raise AssertionError("unreachable")

    with pytest.raises(NotImplementedError, match=r"autoscaler.StandardAutoscaler is not included"):
        Derived()
    with pytest.raises(ImportError, match="no_such"):
        importlib.import_module("ray.autoscaler._private.no_such")


def test_environments_are_merged_unless_both_name_the_same():
    merge = runtime_env._merge_runtime_env
    assert merge({"env_vars": {"A": "1"}, "pip": []}, {"env_vars": {"B": "2"}}) == {
        "pip": [],
        "env_vars": {"A": "1", "B": "2"},
    }
    assert merge({"env_vars": {"A": "1"}}, {"env_vars": {"A": "1"}}) is None
    assert merge({"pip": ["a"]}, {"pip": ["b"]}) is None
    assert merge({"pip": ["a"]}, {"pip": ["b"]}, override=True) == {"pip": ["b"]}
    assert merge(None, None) == {}
    with pytest.raises(ValueError, match="/tmp is not a valid URI"):
        runtime_env._validate_no_local_paths(runtime_env.RuntimeEnv(working_dir="/tmp", _validate=False))


def test_what_cannot_be_pickled_is_named():
    with pytest.raises(TypeError, match=r"Could not do it:(.|\n)*lock"):
        pickle_dumps(threading.Lock(), "Could not do it")


def test_tables_of_the_cluster_as_protobuf_messages(cluster):
    actor = ray.remote(num_cpus=0)(type("Held", (), {})).options(name="held").remote()
    ray.get(actor.__ray_ready__.remote())
    group = ray.util.placement_group([{"CPU": 1}], name="g")
    ray.get(group.ready())
    accessor = GlobalStateAccessor(GcsClientOptions.create(ray.get_runtime_context().gcs_address))
    assert accessor.connect()
    info = gcs_utils.ActorTableData.FromString(accessor.get_actor_info(actor._actor_id))
    assert (info.name, info.state, info.ray_namespace) == ("held", gcs_pb2.ActorTableData.ALIVE, "surface")
    assert convert_actor_state(info.state) == "ALIVE"
    assert accessor.get_actor_info(ray.ActorID(b"x" * 16)) is None
    assert accessor.get_actor_table(None, "DEAD") == []
    (job,) = map(gcs_utils.JobTableData.FromString, accessor.get_job_table())
    assert job.job_id.hex() == ray.get_runtime_context().get_job_id()
    made = gcs_utils.PlacementGroupTableData.FromString(accessor.get_placement_group_by_name("g", "surface"))
    assert made.state == gcs_utils.PlacementGroupTableData.CREATED
    assert common_pb2.PlacementStrategy.Name(made.strategy) == "PACK"
    (total,) = map(gcs_utils.TotalResources.FromString, accessor.get_all_total_resources())
    (free,) = map(gcs_utils.AvailableResources.FromString, accessor.get_all_available_resources())
    assert total.resources_total["CPU"] == 4 > free.resources_available["CPU"]
    pids = {gcs_utils.WorkerTableData.FromString(blob).pid for blob in accessor.get_worker_table()}
    assert info.pid in pids
    assert accessor.get_node_table() == ray.nodes()
    assert ray.nodes()[0]["DeathReason"] == common_pb2.NodeDeathInfo.Reason.Value("UNSPECIFIED")
    ray.kill(actor)
    ray.util.remove_placement_group(group)
    wait_for_condition(no_resource_leaks_excluding_node_resources)


def test_an_accessor_of_nothing_does_not_connect():
    assert not GlobalStateAccessor(GcsClientOptions.create("127.0.0.1:1")).connect()
    context = type("Context", (), {"address_info": {"gcs_address": "127.0.0.1:1"}})()
    with pytest.raises(OSError):
        make_global_state_accessor(context).get_job_table()


def test_requested_resources_are_shown(cluster):
    request_resources(num_cpus=2, bundles=[{"GPU": 1}])
    status = debug_status()
    assert " {'CPU': 1}: 2 from request_resources()" in status
    assert " {'GPU': 1}: 1 from request_resources()" in status
    request_resources()
    assert "From request_resources:\n (none)" in debug_status()
    for wrong in ({"num_cpus": "x"}, {"bundles": 3}, {"bundles": [3]}, {"bundles": [{"CPU": "x"}]}):
        with pytest.raises(TypeError):
            request_resources(**wrong)


def test_tasks_are_waited_for_by_name(cluster):
    @ray.remote(max_retries=0)
    def fails():
        raise ValueError("of this kind")

    with pytest.raises(ValueError):
        ray.get(fails.options(name="failing").remote())
    wait_for_task_states({"failing": "FAILED"})
    assert verify_failed_task("failing", "TASK_EXECUTION_EXCEPTION", ["ValueError", "of this kind"])
    with pytest.raises(AssertionError):
        verify_failed_task("failing", "WORKER_DIED")


def test_memory_in_use_is_counted(cluster):
    wait_for_condition(lambda: object_memory_usage() == 0)
    ref = ray.put(b"x" * (1 << 20))
    wait_for_condition(lambda: object_memory_usage() >= 1 << 20)
    del ref


def test_metrics_are_scraped(cluster):
    pytest.importorskip("prometheus_client")
    (node,) = ray.nodes()
    address = f"{node['NodeManagerAddress']}:{node['MetricsExportPort']}"
    samples = fetch_prometheus_metrics([address, "127.0.0.1:1"])
    of_cpu = MetricSamplePattern(name="ray_resources", partial_label_match={"Name": "CPU"})
    assert sum(sample.value for sample in samples["ray_resources"] if of_cpu.matches(sample)) == 4
    pattern = MetricSamplePattern(value="4.0", partial_label_match={"Name": "CPU", "State": "AVAILABLE"})
    series = PrometheusTimeseries()
    wait_for_condition(get_metric_check_condition([pattern], series))
    info = {"node_ip_address": node["NodeManagerAddress"], "metrics_export_port": node["MetricsExportPort"]}
    assert set(raw_metric_timeseries(info, series)) == set(samples)
    series.flush()
    assert not series.metric_samples


def test_labels_are_read_and_checked(tmp_path):
    assert label_utils.parse_node_labels_string(" a = b ,c=") == {"a": "b", "c": ""}
    assert label_utils.parse_node_labels_json('{"a": "b"}') == {"a": "b"}
    file = tmp_path / "labels.yaml"
    file.write_text("a: b\n")
    assert label_utils.parse_node_labels_from_yaml_file(str(file)) == {"a": "b"}
    for wrong in ("a", "a=b=c", "=b", "a=-b", "a b=c", "_/a=b"):
        with pytest.raises(ValueError):
            label_utils.parse_node_labels_string(wrong)
    for right in ("v", "!v", "in(a, b)", "!in(a)", ""):
        assert label_utils.validate_label_selector({"a.b/c": right}) is None
    for wrong in ("!!v", "in()", "in(a", "-v"):
        assert "Invalid label selector value" in label_utils.validate_label_selector({"a": wrong})
    assert "Invalid label key name" in label_utils.validate_label_selector({"-a": "v"})
    assert "Empty dictionary" in label_utils.validate_fallback_strategy([{}])
    with pytest.raises(ValueError, match="reserved for Ray"):
        label_utils.validate_node_labels({"ray.io/x": "1"})


def test_addresses_are_made_canonical(cluster):
    here = services.get_node_ip_address()
    assert services.canonicalize_bootstrap_address("localhost:6379") == f"{here}:6379"
    assert services.canonicalize_bootstrap_address("local") is None
    assert services.extract_ip_port("10.0.0.1:6379") == ("10.0.0.1", 6379)
    with pytest.raises(ValueError, match="Invalid address port 5"):
        services.extract_ip_port("10.0.0.1:5")
    assert services.remaining_processes_alive()
    assert ray_constants.env_integer("RAY_NO_SUCH_VARIABLE", 3) == 3


def test_requests_bear_the_token(monkeypatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN", "of the test")
    seen = {}
    monkeypatch.setattr("requests.request", lambda method, url, headers: seen.update(headers, method=method))
    request_with_auth_token("get", "http://nowhere", headers={"A": "b"})
    assert seen == {"method": "get", "A": "b", "Authorization": "Bearer of the test"}


def test_packages_are_named_by_their_content(tmp_path):
    (tmp_path / "a.py").write_text("x = 1")
    uri = get_uri_for_directory(str(tmp_path))
    assert parse_uri(uri) == (Protocol.GCS, uri.removeprefix("gcs://"))
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.pyc").write_text("cached")
    assert get_uri_for_directory(str(tmp_path)) == uri
    assert get_uri_for_directory(str(tmp_path), excludes=["a.py"]) != uri
    assert get_uri_for_file(str(tmp_path / "a.py")).startswith("gcs://_ray_pkg_")
    for wrong in (get_uri_for_directory, get_uri_for_file):
        with pytest.raises(ValueError, match="must be an existing"):
            wrong(str(tmp_path / "nothing"))
    with pytest.raises(ValueError, match="Invalid protocol"):
        parse_uri("nowhere://a.zip")


def test_a_cache_of_uris_gives_up_what_nobody_uses():
    deleted = []
    cache = URICache(lambda uri, logger: deleted.append(uri) or 10, max_total_size_bytes=15)
    cache.add("a", 10)
    cache.add("b", 10)
    assert cache.get_total_size_bytes() == 20 and deleted == []
    cache.mark_unused("a")
    assert deleted == ["a"] and "a" not in cache and "b" in cache
    cache.mark_used("b")
    cache.mark_unused("b")
    cache.mark_unused("b")
    assert "b" in cache  # it fits
    with pytest.raises(ValueError, match="not present in the cache"):
        cache.mark_used("a")


def test_records_of_a_logger_of_ones_own_say_where_they_come_from(cluster):
    record = logging.makeLogRecord({"msg": "said", "levelno": logging.INFO, "levelname": "INFO"})
    assert CoreContextFilter().filter(record)
    formatter = JSONFormatter()
    formatter.set_additional_log_standard_attrs(["threadName"])
    row = json.loads(formatter.format(record))
    assert row["message"] == "said" and "threadName" in row
    assert row["job_id"] == ray.get_runtime_context().get_job_id()
    assert f"node_id={ray.get_runtime_context().get_node_id()}" in TextFormatter().format(record)


def test_a_component_logs_into_its_file(tmp_path):
    logger = setup_component_logger(
        logging_level="info",
        logging_format="%(message)s",
        log_dir=str(tmp_path),
        filename="component.log",
        max_bytes=1000,
        backup_count=1,
        logger_name="a.component",
        propagate=False,
    )
    logger.info("a line")
    logger.debug("not this one")
    assert (tmp_path / "component.log").read_text() == "a line\n"
    for handler in [*logger.handlers]:
        handler.close()
        logger.removeHandler(handler)


def test_tokens_of_tests_are_taken_away_again(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RAY_AUTH_TOKEN", "before")
    with tokens.authentication_env_guard():
        tokens.set_auth_token_path("in a file", tmp_path / "token")
        assert auth.load_token() == b"in a file"
        tokens.clear_auth_token_sources()
        tokens.set_default_auth_token("the default")
        assert auth.load_token() == b"the default"
        tokens.set_auth_mode("disabled")
        assert not auth.load_token()
    assert auth.load_token() == b"before"
    assert not (tmp_path / ".ray" / "auth_token").exists()
