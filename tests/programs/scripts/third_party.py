"""Names that libraries on top of Ray use though they are private."""

import warnings

import ray

warnings.simplefilter("ignore")
context = ray.init(num_cpus=2, namespace="third")

import ray._private.ray_constants  # noqa: E402
import ray._private.services  # noqa: E402
import ray._private.utils  # noqa: E402
import ray._private.worker  # noqa: E402
from ray._private.state import state  # noqa: E402
from ray._raylet import GcsClient, ObjectRefGenerator  # noqa: E402
from ray.actor import ActorClass, ActorHandle, ActorMethod  # noqa: E402
from ray.experimental import internal_kv  # noqa: E402
from ray.remote_function import RemoteFunction  # noqa: E402
from ray.runtime_context import RuntimeContext  # noqa: E402
from ray.util.annotations import Deprecated, DeveloperAPI, PublicAPI  # noqa: E402


@ray.remote
def f():
    return 1


@ray.remote
class A:
    def m(self):
        return ray._private.worker.global_worker.mode

    def gen(self):
        yield 1


a = A.remote()
assert isinstance(f, RemoteFunction)
assert isinstance(A, ActorClass)
assert isinstance(a, ActorHandle)
assert isinstance(a.m, ActorMethod)
assert isinstance(f.remote(), ray.ObjectRef)
assert isinstance(a.gen.remote(), ObjectRefGenerator)
assert isinstance(ray.get_runtime_context(), RuntimeContext)
worker = ray._private.worker.global_worker
assert worker.connected
assert worker.mode == ray.SCRIPT_MODE
assert ray.get(a.m.remote()) == ray.WORKER_MODE
assert worker.current_job_id == ray.get_runtime_context().job_id
assert worker.node is not None
assert ray._private.worker._global_node is worker.node
assert worker.namespace == "third"
worker.check_connected()
assert ray._private.services.get_node_ip_address() == ray.util.get_node_ip_address()
assert ray._private.utils.get_system_memory() > 1 << 28
assert ray._private.utils.get_num_cpus() >= 1
assert ray.is_initialized()
internal_kv._internal_kv_put(b"key", b"value", namespace="n")
assert internal_kv._internal_kv_get(b"key", namespace="n") == b"value"
assert internal_kv._internal_kv_exists(b"key", namespace="n")
assert internal_kv._internal_kv_list(b"k", namespace="n") == [b"key"]
internal_kv._internal_kv_del(b"key", namespace="n")
assert internal_kv._internal_kv_get(b"key", namespace="n") is None
gcs = GcsClient(address=ray.get_runtime_context().gcs_address)
assert gcs.internal_kv_put(b"other", b"1", True, b"n") in (0, 1)
assert gcs.internal_kv_get(b"other", b"n") == b"1"
assert state.cluster_resources()["CPU"] == 2.0
assert isinstance(ray._private.state.actors(), dict)
assert ray.get_runtime_context().gcs_address == context.address_info["gcs_address"]
assert ray.nodes()[0]["NodeID"] == context.address_info["node_id"]


@PublicAPI(stability="beta")
@DeveloperAPI
def annotated():
    return 1


@Deprecated
def old():
    return 2


assert annotated() == 1
assert f._function() == 1
assert A.__ray_metadata__.class_name == "A"
assert callable(A.__ray_metadata__.modified_class)
assert ray.__version__.split(".")[0] == "2"
assert isinstance(ray.__commit__, str)
assert ray.cloudpickle.loads(ray.cloudpickle.dumps(lambda: 3))() == 3
print("ok")
