"""Who may send which message to whom: the matrix, as data. Floor: common, pure.

A *receiver* is what a process is; a *role* is what it knows of the other end of a connection, from the strongest
evidence that there is:

* whom it has called itself (`gcs`, `raylet`, `own raylet`, `zygote`): that end has proved the cluster's token and sits
  at the address that this process was told; `own raylet` and `zygote` are on a Unix socket or an inherited one.
* over which socket it was called: `core` (at a raylet) came by the node's Unix socket, so the kernel vouches for its
  user and machine; `remote core` came by TCP.
* what the other end says of itself in Hello. The token proves that it belongs to the cluster, and nothing else: whoever
  holds it may claim any role (see SECURITY.md). This guards against mistakes, not against holders of the token.

`wire.aio.dispatch` and the core worker ask `may_send` before anything is done with a message. Replies need no row: they
are matched with a request that was sent on the same connection.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from ray._core.common.messages import actors as a
from ray._core.common.messages import control as c
from ray._core.common.messages import raylet as r
from ray._core.common.messages import state as s
from ray._core.common.messages import tasks as t
from ray._core.common.messages import waiting as i
from ray._core.common.messages import workers as w

Receiver = Literal["gcs", "raylet", "core", "agent", "zygote"]
Kinds = frozenset[type[msgspec.Struct]]
NOBODY: Kinds = frozenset()
Some = list[type[msgspec.Struct]]

_LOOK: Some = [c.Ping, c.Subscribe, c.Unsubscribe, c.ListNodes, c.GetClusterResources, c.ListJobs]
_LOOK += [c.KvPut, c.KvGet, c.KvDel, c.KvExists, c.KvKeys, a.GetActor, a.ListActors, a.GetGroup, a.ListGroups]
_LOOK += [s.DumpState, s.ListLogs, s.ReadLog, i.Inquire]
_OWN_NODE: Some = [c.RegisterNode, c.CheckNode, c.UnregisterNode, c.ReportResources, c.ErrorEvent, c.CollectGarbage]
_OWN_ACTORS: Some = [a.ActorStarted, a.ActorStartFailed, a.ActorDied]
_CREATE: Some = [a.RegisterActor, a.ActorReady, a.ActorOutOfScope, a.KillActor, a.CreateGroup, a.RemoveGroup]
_CREATE += [s.TaskEvents, c.CollectGarbage, c.ErrorEvent]
_NEWS: Some = [c.NodeChanged, c.ActorChanged, c.JobChanged, c.GroupChanged, c.LogLines, c.ErrorEvent]
_BUNDLES: Some = [a.PrepareBundles, a.CommitBundles, a.ReturnBundles]
_NODE: Some = [c.Ping, c.SetDraining, c.ResourceViews, c.CollectGarbage, a.CreateActor, a.DestroyActor]
_NODE += [s.DumpState, i.Inquire]
_WORKER: Some = [r.AssignWorker, a.ConstructActor, r.ExitWorker, r.RetireWorker, r.RevokeLease, r.WorkerExited]
_WORKER += [r.ProposeSpill, r.SlabSpaceFreed]
_LEASES: Some = [r.RequestLease, r.CancelLease, r.ReturnLease, r.KillWorker, c.Ping]
_STORE: Some = [r.AllocateSlab, r.ReleaseSlab, r.ObjectsSealed, r.PullObject, r.UrgePull]
_FREE: Some = [r.FreeObjects, r.FreeRest]
_CALLS: Some = [t.TaskTemplate, t.PushTask, t.TaskDone, t.TasksReturned, t.CancelTask, t.CancelRemoteTask, t.ExpireTask]
_CALLS += [t.GeneratorItem, t.GeneratorConsumed]
_VALUES: Some = [t.GetObjects, t.ObjectValues, t.AddBorrower, t.RemoveBorrower, t.ObjectLost]

_MATRIX: dict[Receiver, dict[str, list[Some]]] = {
    "gcs": {
        "raylet": [_LOOK, _OWN_NODE, _OWN_ACTORS],
        "driver": [_LOOK, _CREATE, [c.RegisterJob, c.FlushLogs]],
        "worker": [_LOOK, _CREATE],
        "agent": [_LOOK, [c.LogLines, w.HoldPackages]],
        "cli": [_LOOK, [c.UnregisterNode, c.DrainNode, c.ErrorEvent, c.CollectGarbage, a.KillActor]],
    },
    "raylet": {
        "gcs": [_NEWS, _BUNDLES, _NODE],
        "zygote": [[w.ChildExited]],
        "core": [[r.RegisterWorker, r.SetBlocked, r.WorkerExiting, i.Inquire], _LEASES, _STORE, _FREE],
        "remote core": [_LEASES],
        "raylet": [_FREE, [t.AddLocation, r.AwaitOwnerEnd, r.FetchChunk, r.OfferObject, r.OfferEnded]],
        "bulk": [],
        "runtime_env_agent": [],
    },
    "core": {
        "own raylet": [_WORKER, [t.AddLocation, t.ObjectLost, s.DumpState, i.Inquire, c.CollectGarbage]],
        "raylet": [[r.RevokeLease, r.WorkerExited]],
        "gcs": [_NEWS, [c.StorageTrouble]],
        "core": [_CALLS, _VALUES, [c.Ping, i.Inquire]],
    },
    "agent": {
        "gcs": [[c.FlushLogs, s.ListLogs, s.ReadLog]],
        "raylet": [[w.CreateRuntimeEnv, w.ReleaseRuntimeEnv]],
    },
    "zygote": {"raylet": [[w.Fork]]},
}
"""Receiver, role of the sender, and what that may send.

FetchPart travels on bulk connections, which leave the event loop with their Hello."""

MAY_SEND: dict[Receiver, dict[str, Kinds]] = {
    receiver: {role: frozenset(kind for group in groups for kind in group) for role, groups in rows.items()}
    for receiver, rows in _MATRIX.items()
}
ORDERS: Kinds = (
    frozenset(kind for role, kinds in MAY_SEND["core"].items() if role != "core" for kind in kinds)
    - MAY_SEND["core"]["core"]
)
"""What a core worker takes from raylets and the GCS only: it asks `may_send` for these alone."""


def may_send(role: str, kind: type, receiver: Receiver) -> bool:
    return kind in MAY_SEND[receiver].get(role, NOBODY)


def role_of(said: str, receiver: Receiver, is_local: bool) -> str:
    """The role of one that has called and says in Hello what it is; "" if nobody may call as that.

    `is_local`: over a Unix socket.
    """
    if receiver == "gcs":
        return said if said in MAY_SEND["gcs"] else ""
    if receiver == "raylet":
        if said in ("driver", "worker"):
            return "core" if is_local else "remote core"
        return said if said in (("runtime_env_agent",) if is_local else ("raylet", "bulk")) else ""
    return "core" if receiver == "core" else ""


def refusal(role: str, kind: type, receiver: Receiver) -> str:
    sender = f"a connection with the role {role!r}" if role else "a connection that has not said Hello"
    return f"{kind.__name__} is not taken from {sender} (receiver: {receiver})."
