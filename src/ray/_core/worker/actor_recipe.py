"""What an owner tells the worker that constructs its actor: opaque to the GCS, which keeps it for restarts.

Floor: worker, pure.
"""

from __future__ import annotations

import msgspec

from ray._core.common.messages import Dep


class ActorRecipe(msgspec.Struct, array_like=True, frozen=True):
    """`deps` carry no values: the worker fetches them from their owners, at each start anew."""

    class_blob: bytes
    """The pickled class; empty: it is large, and lies in the key-value table under the spec's `class_key`."""
    args: bytes
    deps: list[Dep]
    constructor: str
    """"module.Class.__init__"."""
    namespace: str
    """Of the job: where the actor's own actors are named."""
    max_concurrency: int
    concurrency_groups: dict[str, int]
    is_async: bool
    code_paths: list[str] = []
    logging: str = ""
    detached_actors: bool = False
    keeps_lineage: bool = True
    """All four as in `TaskTemplate`."""
