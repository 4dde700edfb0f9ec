"""What libraries call to have their use counted. Nothing is counted, kept or sent."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from ray._private.not_included import absent_names


class _AnyName(enum.EnumMeta):
    def __getattr__(cls, name: str) -> str:
        if name.startswith("__"):
            raise AttributeError(name)
        return name


class TagKey(enum.Enum, metaclass=_AnyName):
    """`TagKey.<any name>` is that name: what is recorded goes nowhere."""


def usage_stats_enabled() -> bool:
    """False: there are none."""
    return False


def record_library_usage(library_usage: str) -> None:
    """Does nothing."""


def record_extra_usage_tag(key: object, value: str, gcs_client: object = None) -> None:
    """Does nothing."""


def reset_global_state() -> None:
    """Does nothing: there is nothing to forget."""


if not TYPE_CHECKING:  # a checker that saw this would take any name for granted
    __getattr__ = absent_names(
        __name__,
        "Nothing is reported.",
        "ClusterConfigToReport ClusterStatusToReport UsageReportClient UsageStatsEnabledness "
        "UsageStatsToReport UsageStatsToWrite _generate_cluster_metadata _recorded_extra_usage_tags "
        "_recorded_library_usages _usage_stats_config_path _usage_stats_enabledness "
        "_usage_stats_report_interval_s _usage_stats_report_url generate_disabled_report_data "
        "generate_report_data generate_write_data get_cluster_config_to_report get_cluster_metadata "
        "get_cluster_status_to_report get_extra_usage_tags_to_report get_hardware_usages_to_report "
        "get_library_usages_to_report get_total_num_alive_nodes_to_report "
        "get_total_num_running_jobs_to_report is_nightly_wheel is_ray_init_cluster put_cluster_metadata "
        "put_pre_init_usage_stats record_hardware_usage reset_global_state set_usage_stats_enabled_via_config "
        "set_usage_stats_enabled_via_env_var show_usage_stats_prompt usage_stats_prompt_enabled",
    )
