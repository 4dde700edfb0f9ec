"""Requests for resources, from programs."""

from ray._private.not_included import absent
from ray.autoscaler.sdk.sdk import request_resources

_FUNCTIONS = (
    "bootstrap_config configure_logging create_or_update_cluster fillout_defaults get_docker_host_mount_location "
    "get_head_node_ip get_worker_node_ips register_callback_handler rsync run_on_cluster teardown_cluster"
)
globals().update(absent("ray.autoscaler.sdk", _FUNCTIONS, "Start and stop the nodes by `ray start` and `ray stop`."))

__all__ = ["request_resources"]
