"""Modules of Ray of which pure-ray has nothing: their names can be imported, and say so when they are used.

Ray's tests and tools name parts of its machinery at their top, for one case among many; the others run here. What is
listed is what tests import; a library of its own (`ray.data`, `ray.serve`) stays a ModuleNotFoundError, which programs
ask for. `ray/__init__.py` looks here when Python has found no such module.
"""

from __future__ import annotations

import importlib
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from ray._private.not_included import absent_names

_MODULES = {
    "ray._common": "observability pydantic_compat ray_option_utils runtime_env_package",
    "ray._common.observability": "internal_event platform_events",
    "ray._private": (
        "async_utils custom_types dict event gc_collect_manager log process_watcher prometheus_exporter "
        "protobuf_compat ray_microbenchmark_helpers resource_and_label_spec resource_isolation_config "
        "telemetry"
    ),
    "ray._private.authentication": (
        "authentication_utils grpc_authentication_client_interceptor grpc_authentication_server_interceptor "
        "http_token_authentication"
    ),
    "ray.core.generated": (
        "common_pb2_grpc dependency_pb2 events_event_aggregator_service_pb2 "
        "events_event_aggregator_service_pb2_grpc export_task_event_pb2 instance_manager_pb2 logging_pb2 "
        "profile_events_pb2"
    ),
    "ray._private.event": "event_logger export_event_logger",
    "ray._private.runtime_env": (
        "_clonevirtualenv conda_utils default_impl dependency_utils setup_hook uv_runtime_env_hook"
    ),
    "ray._private.runtime_env.agent": "main runtime_env_agent runtime_env_consts",
    "ray._private.telemetry": "metric_cardinality metric_types open_telemetry_metric_recorder",
    "ray.autoscaler": "batching_node_provider command_runner local node_launch_exception",
    "ray.autoscaler._private": (
        "autoscaler aws cli_logger cli_output_helpers cluster_dump command_runner docker event_summarizer event_system "
        "fake_multi_node gcp kuberay legacy_info_string load_metrics loader local log_timer monitor "
        "node_launcher node_provider_availability_tracker node_tracker prom_metrics providers readonly "
        "resource_demand_scheduler spark subprocess_output_util updater util"
    ),
    "ray.autoscaler._private.aws": "cloudwatch config node_provider utils",
    "ray.autoscaler._private.aws.cloudwatch": "cloudwatch_helper",
    "ray.autoscaler._private.fake_multi_node": "command_runner docker_monitor node_provider test_utils",
    "ray.autoscaler._private.gcp": "config node node_provider tpu_command_runner",
    "ray.autoscaler._private.kuberay": "autoscaling_config node_provider run_autoscaler utils",
    "ray.autoscaler._private.local": "config coordinator_node_provider node_provider",
    "ray.autoscaler._private.readonly": "node_provider",
    "ray.autoscaler._private.spark": "node_provider spark_job_server",
    "ray.autoscaler.local": "coordinator_server",
    "ray.autoscaler.v2": "autoscaler event_logger instance_manager metrics_reporter monitor scheduler schema",
    "ray.autoscaler.v2.instance_manager": (
        "cloud_providers common config instance_manager instance_storage node_provider ray_installer "
        "reconciler storage subscribers"
    ),
    "ray.autoscaler.v2.instance_manager.cloud_providers": "kuberay read_only",
    "ray.autoscaler.v2.instance_manager.cloud_providers.kuberay": "cloud_provider ippr_provider",
    "ray.autoscaler.v2.instance_manager.cloud_providers.read_only": "cloud_provider",
    "ray.autoscaler.v2.instance_manager.subscribers": (
        "cloud_instance_updater cloud_resource_monitor ray_stopper threaded_ray_installer"
    ),
    "ray.dag": "collective_node dag_node_operation dag_operation_future utils",
    "ray.dashboard": (
        "agent dashboard_metrics event_loop_monitor head http_server_agent http_server_head k8s_utils "
        "memory_utils optional_deps optional_utils routes runtime_env_redaction state_api_utils subprocesses "
        "timezone_utils utils"
    ),
    "ray.dashboard.modules": "aggregator event log metrics node platform_events reporter task_events usage_stats",
    "ray.dashboard.modules.aggregator": (
        "aggregator_agent constants multi_consumer_event_buffer publisher task_events_metadata_buffer"
    ),
    "ray.dashboard.modules.aggregator.publisher": (
        "async_publisher_client authenticated_http_client configs metrics ray_event_publisher"
    ),
    "ray.dashboard.modules.event": "event_agent event_consts event_head event_utils",
    "ray.dashboard.modules.job": "cli_utils job_agent job_log_storage_client utils",
    "ray.dashboard.modules.log": "log_agent log_consts log_manager log_utils",
    "ray.dashboard.modules.metrics": (
        "dashboards default_impl grafana_dashboard_factory install_and_start_prometheus metrics_head"
    ),
    "ray.dashboard.modules.metrics.dashboards": (
        "common data_dashboard_panels data_llm_dashboard_panels default_dashboard_panels "
        "serve_dashboard_panels serve_deployment_dashboard_panels serve_llm_dashboard_panels "
        "serve_llm_sglang_dashboard_panels train_dashboard_panels"
    ),
    "ray.dashboard.modules.node": "actor_consts datacenter node_consts node_head",
    "ray.dashboard.modules.platform_events": "platform_event_head providers",
    "ray.dashboard.modules.platform_events.providers": "base k8s_provider",
    "ray.dashboard.modules.reporter": (
        "gpu_profile_manager gpu_providers healthz_agent jax_profile_manager profile_manager reporter_agent "
        "reporter_consts reporter_head reporter_models utils"
    ),
    "ray.dashboard.modules.state": "state_head",
    "ray.dashboard.modules.task_events": (
        "gc_policy ray_event_converter task_event_manager task_event_query task_event_storage task_events_head"
    ),
    "ray.dashboard.modules.usage_stats": "usage_stats_head",
    "ray.dashboard.subprocesses": "handle module routes utils",
    "ray.experimental": "channel collective",
    "ray.experimental.channel": (
        "accelerator_context auto_transport_type cached_channel common communicator communicator_handle "
        "cpu_communicator intra_process_channel nccl_group serialization_context shared_memory_channel "
        "torch_tensor_accelerator_channel torch_tensor_type utils"
    ),
    "ray.util": "check_open_ports serialization_addons tpu tracing",
    "ray.util.client": "options",
    "ray.util.client.server": "server_pickler server_stubs",
    "ray.util.collective": "backend_registry collective collective_group const types util",
    "ray.util.collective.collective_group": (
        "base_collective_group cuda_stream nccl_collective_group nccl_util torch_gloo_collective_group"
    ),
    "ray.util.spark": "cluster_init databricks_hook start_hook_base start_ray_node utils",
    "ray.util.tracing": "setup_local_tmp_tracing setup_tempo_tracing tracing_helper",
}
"""By package. Those that hold others are packages themselves."""
_LISTED = frozenset(f"{package}.{name}" for package, names in _MODULES.items() for name in names.split())


def spec_of(full_name: str) -> ModuleSpec | None:
    """What Python's import system asks a finder for; None when the module is not listed."""
    if full_name not in _LISTED:
        return None
    return ModuleSpec(full_name, _LOADER, is_package=full_name in _MODULES)


class _Loader(Loader):
    def create_module(self, spec: ModuleSpec) -> None:
        """None: an ordinary module will do."""

    def exec_module(self, module: ModuleType) -> None:
        module.__doc__ = "Not included in pure-ray. Names can be imported."
        absent = absent_names(module.__name__, "It is a part of Ray's own machinery.")

        def name_of(name: str) -> Any:
            if f"{module.__name__}.{name}" in _LISTED:
                return importlib.import_module(f"{module.__name__}.{name}")
            return absent(name)

        module.__getattr__ = name_of  # type: ignore[method-assign]


_LOADER = _Loader()
