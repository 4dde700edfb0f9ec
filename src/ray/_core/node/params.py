"""What a node is asked to be, checked. Floor: node, pure."""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Mapping
from typing import Any

from ray._core.common.labels import wrong_key, wrong_value
from ray._core.wire.ports import ports

LEAST_STORE = 75 * 1024 * 1024
"""Bytes: a smaller object store could not even hold the slabs of a few processes."""
LABEL_PREFIX = "ray.io/"
"""Labels that begin so are the system's."""
_RESERVED = {"CPU": "num_cpus", "GPU": "num_gpus", "memory": "memory", "object_store_memory": "object_store_memory"}


@dataclasses.dataclass(frozen=True, slots=True)
class NodeParams:
    """One node. Ports: 0 lets the system choose.

    Args:
        head: it brings the GCS; else it joins the cluster at `gcs_address` ("host:port").
        node_ip: under which other nodes reach it; None: found out.
        gcs_port: where the GCS listens; heads only.
        raylet_port: where the raylet listens for other nodes, for leases and for objects.
        metrics_port: where the node tells its metrics, by HTTP.
        agent_port: where it tells by HTTP that it is well; None: nowhere but at `metrics_port`.
        client_server_port: where the head's Ray Client server listens; None: there is none.
        worker_ports: where its workers may listen: "10002-19999", "7001,7002"; "": anywhere.
        num_cpus, num_gpus: None: what the machine has.
        resources: further amounts by name.
        object_store_memory, memory: bytes; None: shares of the machine's free memory.
        temp_dir: parent of the session directory; None: the head's, or the default.
        shm_dir: where the shared-memory file lies.
        spill_dir: where objects go when the shared memory is full; None: the session directory.
        system_config: settings of the cluster by name; heads only.
        env: variables for the node's processes, beside those inherited.
        redis_address, redis_username, redis_password: of a Redis that keeps the GCS's tables; heads only. None: as
            RAY_REDIS_ADDRESS and its kin say.
        include_dashboard: bind a port for it; None: if the packages for it are installed. Heads only.
        dashboard_host, dashboard_port: where; None: 8265, or one of the next that is free.
        durable: without a Redis, the GCS keeps its tables in a file of the session directory, and survives its death.
        fate_shared: the node ends when the process that starts it does, however that ends.
    Raises:
        ValueError: a value out of range; the text says which.
    """

    head: bool = True
    gcs_address: str | None = None
    node_ip: str | None = None
    node_name: str | None = None
    gcs_port: int = 0
    raylet_port: int = 0
    metrics_port: int = 0
    agent_port: int | None = None
    client_server_port: int | None = None
    worker_ports: str = ""
    num_cpus: float | None = None
    num_gpus: float | None = None
    resources: Mapping[str, float] = dataclasses.field(default_factory=dict)
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    object_store_memory: int | None = None
    memory: int | None = None
    temp_dir: str | None = None
    shm_dir: str = "/dev/shm"
    spill_dir: str | None = None
    system_config: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    env: Mapping[str, str] = dataclasses.field(default_factory=dict)
    include_dashboard: bool | None = False
    dashboard_host: str = "127.0.0.1"
    dashboard_port: int | None = None
    durable: bool = False
    redis_address: str | None = None
    redis_username: str | None = None
    redis_password: str | None = None
    fate_shared: bool = True

    def __post_init__(self) -> None:
        if self.head == (self.gcs_address is not None):
            raise ValueError("A node is either a head or joins the cluster at gcs_address.")
        if not self.head and self.system_config:
            raise ValueError("_system_config belongs to the whole cluster: give it to the head.")
        if self.node_ip is not None:
            try:
                ipaddress.ip_address(self.node_ip)
            except ValueError:
                raise ValueError(f"node_ip_address={self.node_ip!r} is not an IP address.") from None
        for port in (
            self.gcs_port,
            self.raylet_port,
            self.metrics_port,
            self.agent_port or 0,
            self.client_server_port or 0,
            *ports(self.worker_ports),
        ):
            if not 0 <= port < 1 << 16:
                raise ValueError(f"{port} is no port: they go from 0 (any) to 65535.")
        check_amounts(self.num_cpus, self.num_gpus, self.resources)
        check_labels(self.labels)
        if self.object_store_memory is not None and self.object_store_memory < LEAST_STORE:
            raise ValueError(
                f"Attempting to cap object store memory usage at {self.object_store_memory} bytes, but the minimum "
                f"allowed is {LEAST_STORE} bytes."
            )


def check_amounts(num_cpus: float | None, num_gpus: float | None, resources: Mapping[str, float]) -> None:
    """Raises ValueError for amounts that a node cannot have, TypeError for what is no number."""
    for name in sorted(set(_RESERVED) & set(resources)):
        raise ValueError(f"Use {_RESERVED[name]} instead of {name!r} in 'resources'.")
    for name, amount in {"CPU": num_cpus, "GPU": num_gpus, **resources}.items():
        if amount is None:
            continue
        if not isinstance(amount, (int, float)):
            raise TypeError(f"The resources of a node are numbers; {name} is {amount!r}.")
        if amount < 0:
            raise ValueError(f"Resource quantities must be nonnegative; {name} is {amount}.")
        if amount != int(amount):
            raise ValueError(f"Resource quantities must all be whole numbers; {name} is {amount}.")


def check_labels(labels: Mapping[str, str]) -> None:
    """Raises ValueError for labels that a node cannot have."""
    for key, value in labels.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise ValueError(f"Labels are texts; {key!r}: {value!r} is not.")
        wrong = wrong_key(key) or wrong_value(value)
        if wrong:
            raise ValueError(wrong)
        if key.startswith(LABEL_PREFIX):
            raise ValueError(
                f"Custom label keys `{key}` cannot start with the prefix `{LABEL_PREFIX}`. "
                "This is reserved for Ray defined labels."
            )
