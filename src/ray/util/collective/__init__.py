"""Collective communication between actors (NCCL, Gloo): not included."""

from ray._private.not_included import absent

__all__ = [
    "allgather",
    "allgather_multigpu",
    "allreduce",
    "allreduce_multigpu",
    "barrier",
    "broadcast",
    "broadcast_multigpu",
    "create_collective_group",
    "destroy_collective_group",
    "get_collective_group_size",
    "get_group_handle",
    "get_rank",
    "init_collective_group",
    "recv",
    "recv_multigpu",
    "reduce",
    "reduce_multigpu",
    "reducescatter",
    "reducescatter_multigpu",
    "send",
    "send_multigpu",
]

globals().update(
    absent(
        "ray.util.collective",
        " ".join(__all__),
        "Use torch.distributed between the actors, or send arrays as arguments and results.",
    )
)


def nccl_available() -> bool:
    return False


def gloo_available() -> bool:
    return False


def is_group_initialized(group_name: str) -> bool:
    """Whether this process is in such a group: never."""
    return False
