"""Facts of this machine, under the names that libraries import."""

from __future__ import annotations

import getpass
import importlib
import logging
import os
import platform
import re
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray._private.not_included import absent_names
from ray._version import VERSION

if TYPE_CHECKING:
    from ray._core.common.ids import JobID
    from ray._private.gcs_client import GcsClient
    from ray._private.worker import Worker


def get_num_cpus() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def get_system_memory() -> int:
    """Bytes: the machine's memory, or the cgroup's limit where that is lower."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for file in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        path = Path(file)
        text = path.read_text().strip() if path.exists() else ""
        if text.isdigit():
            total = min(total, int(text))
    return total


def get_used_memory() -> int:
    """Bytes of the machine's memory, or of the cgroup's, that are in use."""
    for file in ("/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory/memory.usage_in_bytes"):
        path = Path(file)
        if path.exists() and (text := path.read_text().strip()).isdigit():
            return int(text)
    available = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    return get_system_memory() - available


def get_user() -> str:
    """Who runs this process; "" where the system does not say."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def get_ray_doc_version() -> str:
    """The part of a link to Ray's documentation that names the version."""
    return f"releases-{VERSION}"


def split_address(address: str) -> tuple[str, str]:
    """(module, rest) of "module://rest". ValueError for anything else."""
    if "://" not in address:
        raise ValueError("Address must contain '://'")
    module, _, rest = address.partition("://")
    return module, rest


def get_directory_size_bytes(path: str | Path = ".") -> int:
    """Of the files below a directory."""
    return sum(os.path.getsize(os.path.join(root, name)) for root, _, names in os.walk(path) for name in names)


def ensure_str(s: str | bytes, encoding: str = "utf-8", errors: str = "strict") -> str:
    return s.decode(encoding, errors) if isinstance(s, bytes) else s


def is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def get_entrypoint_name() -> str:
    """How this process was started, as one line; with "(interactive_shell)" where a person types."""
    prefix = "(interactive_shell) " if hasattr(sys, "ps1") else ""
    return prefix + " ".join([sys.executable, *sys.argv]) if sys.argv else prefix + sys.executable


def compute_version_info() -> tuple[str, str]:
    """Ray's and Python's version."""
    return VERSION, ".".join(map(str, sys.version_info[:3]))


def try_to_create_directory(directory_path: str) -> None:
    """Make the directory and those above it, if they are missing."""
    os.makedirs(os.path.expanduser(directory_path), exist_ok=True)


def get_shared_memory_bytes() -> int:
    """Size of /dev/shm."""
    stats = os.statvfs("/dev/shm")
    return stats.f_bsize * stats.f_blocks


def estimate_available_memory() -> int:
    """Bytes of the machine's memory, or of the cgroup's, that are free."""
    return get_system_memory() - get_used_memory()


def resolve_object_store_memory(available_memory_bytes: int, object_store_memory: int | None = None) -> int:
    """Bytes of a node's object store: what was asked for, or a part of the memory."""
    from ray._private import ray_constants

    if object_store_memory is not None:
        return object_store_memory
    part = int(available_memory_bytes * ray_constants.DEFAULT_OBJECT_STORE_MEMORY_PROPORTION)
    return min(part, ray_constants.DEFAULT_OBJECT_STORE_MAX_MEMORY_BYTES)


def get_current_node_cpu_model_name() -> str | None:
    """What /proc/cpuinfo calls the processor; None where it does not."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), None)


def read_ray_address(temp_dir: str | None = None) -> str | None:
    """The address that `ray start` recorded on this machine; None if there is none."""
    from ray._common.utils import get_ray_address_file

    path = Path(get_ray_address_file(temp_dir))
    return path.read_text().strip() if path.exists() else None


def parse_pg_formatted_resources_to_original(pg_formatted_resources: Mapping[str, float]) -> dict[str, float]:
    """Amounts by the user's names: those of a group's own names ("CPU_group_<id>") counted once."""
    original: dict[str, float] = {}
    for name, amount in pg_formatted_resources.items():
        base, found, _ = name.partition("_group_")
        if not found or base != "bundle":
            key = base if found else name
            original[key] = max(amount, original.get(key, 0))
    return original


def validate_namespace(namespace: Any) -> None:
    """Raises TypeError or ValueError for what is no namespace."""
    if namespace is not None and not isinstance(namespace, str):
        raise TypeError("namespace must be None or a string.")
    if namespace == "":
        raise ValueError('"" is not a valid namespace. Pass None to not specify a namespace.')


def validate_actor_state_name(actor_state_name: str | None) -> None:
    """Raises ValueError for what is no state of an actor; None is right."""
    names = ("DEPENDENCIES_UNREADY", "PENDING_CREATION", "ALIVE", "RESTARTING", "DEAD")
    if actor_state_name is not None and actor_state_name not in names:
        listed = '", "'.join(names[:-1])
        raise ValueError(
            f'"{actor_state_name}" is not a valid actor state name, it must be one of the following: "{listed}", '
            f'or "{names[-1]}"'
        )


def try_import_each_module(module_names_to_import: Iterable[str]) -> None:
    """Import them; one that fails is logged, and the others are imported all the same."""
    for name in module_names_to_import:
        try:
            importlib.import_module(name)
        except ImportError:
            logging.getLogger(__name__).exception(f'Failed to preload the module "{name}"')


def format_error_message(exception_message: str, task_exception: bool = False) -> str:
    """The text of a traceback; that of a task without the engine's two lines after the first."""
    lines = exception_message.split("\n")
    return "\n".join(lines[:1] + lines[3:] if task_exception else lines)


def binary_to_object_ref(binary_object_ref: bytes) -> Any:
    from ray._core.worker.object_ref import ObjectRef

    return ObjectRef(binary_object_ref)


def update_envs(env_vars: Mapping[str, str]) -> None:
    """Set environment variables; values may refer to others by ${NAME}, a missing one is ""."""
    for key, value in env_vars.items():
        os.environ[key] = re.sub(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}", lambda found: os.environ.get(found[1], ""), value)


def get_wheel_filename(
    sys_platform: str = sys.platform,
    ray_version: str = VERSION,
    py_version: tuple[int, int] = sys.version_info[:2],
    architecture: str | None = None,
) -> str:
    """The name of Ray's own wheel for a platform."""
    python = "cp" + "".join(map(str, py_version))
    machine = architecture or platform.machine()
    systems = {
        "linux": f"manylinux2014_{machine}",
        "darwin": "macosx_12_0_arm64",
        "win32": "win_amd64",
    }
    return f"ray-{ray_version}-{python}-{python}-{systems[sys_platform]}.whl"


def publish_error_to_driver(error_type: str, message: str, gcs_client: GcsClient, job_id: JobID | None = None) -> None:
    """Show a warning to the drivers of a job, or to all drivers."""
    gcs_client.publish_error(b"", error_type, message, job_id)


def push_error_to_driver(worker: Worker, error_type: str, message: str, job_id: str | None = None) -> None:
    """Show a warning to the drivers of a job, given by its id in hex, or to all drivers."""
    from ray._core.common.ids import JobID

    worker.core_worker.push_error(JobID.from_hex(job_id) if job_id else JobID.nil(), error_type, message, time.time())


if not TYPE_CHECKING:  # a checker that saw this would take any name for granted
    __getattr__ = absent_names(
        __name__,
        "",
        "check_oversized_function check_version_info get_all_node_info_until_retrieved "
        "get_conda_bin_executable get_conda_env_dir get_dashboard_dependency_error get_master_wheel_url "
        "get_ray_client_dependency_error get_release_wheel_url get_runtime_env_info "
        "internal_kv_get_with_retry internal_kv_list_with_retry internal_kv_put_with_retry "
        "parse_metadata_json parse_resources_json parse_runtime_env_for_task_or_actor "
        "remove_ray_internal_flags_from_env reset_visible_accelerator_env_vars "
        "set_omp_num_threads_if_unset set_sigterm_handler set_visible_accelerator_ids try_to_symlink "
        "write_ray_address get_visible_accelerator_ids detect_fate_sharing_support is_in_test "
        "validate_socket_filepath compute_driver_id_from_job compute_job_id_from_driver "
        "get_cgroup_used_memory open_log",
    )
