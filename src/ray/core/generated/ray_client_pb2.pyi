from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AcknowledgeRequest(_message.Message):
    __slots__ = ["req_id"]
    REQ_ID_FIELD_NUMBER: _ClassVar[int]
    req_id: int
    def __init__(self, req_id: _Optional[int] = ...) -> None: ...

class Arg(_message.Message):
    __slots__ = ["data", "local", "reference_id", "type"]
    class Locality(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = []
    class Type(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = []
    DATA_FIELD_NUMBER: _ClassVar[int]
    DEFAULT: Arg.Type
    INTERNED: Arg.Locality
    LOCAL_FIELD_NUMBER: _ClassVar[int]
    REFERENCE: Arg.Locality
    REFERENCE_ID_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    local: Arg.Locality
    reference_id: bytes
    type: Arg.Type
    def __init__(self, local: _Optional[_Union[Arg.Locality, str]] = ..., reference_id: _Optional[bytes] = ..., data: _Optional[bytes] = ..., type: _Optional[_Union[Arg.Type, str]] = ...) -> None: ...

class ClientListNamedActorsRequest(_message.Message):
    __slots__ = ["all_namespaces"]
    ALL_NAMESPACES_FIELD_NUMBER: _ClassVar[int]
    all_namespaces: bool
    def __init__(self, all_namespaces: bool = ...) -> None: ...

class ClientListNamedActorsResponse(_message.Message):
    __slots__ = ["actors_json"]
    ACTORS_JSON_FIELD_NUMBER: _ClassVar[int]
    actors_json: str
    def __init__(self, actors_json: _Optional[str] = ...) -> None: ...

class ClientPinRuntimeEnvURIRequest(_message.Message):
    __slots__ = ["expiration_s", "uri"]
    EXPIRATION_S_FIELD_NUMBER: _ClassVar[int]
    URI_FIELD_NUMBER: _ClassVar[int]
    expiration_s: int
    uri: str
    def __init__(self, uri: _Optional[str] = ..., expiration_s: _Optional[int] = ...) -> None: ...

class ClientPinRuntimeEnvURIResponse(_message.Message):
    __slots__ = []
    def __init__(self) -> None: ...

class ClientTask(_message.Message):
    __slots__ = ["args", "baseline_options", "chunk_id", "client_id", "data", "kwargs", "name", "namespace", "options", "payload_id", "total_chunks", "type"]
    class RemoteExecType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = []
    class KwargsEntry(_message.Message):
        __slots__ = ["key", "value"]
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Arg
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Arg, _Mapping]] = ...) -> None: ...
    ACTOR: ClientTask.RemoteExecType
    ARGS_FIELD_NUMBER: _ClassVar[int]
    BASELINE_OPTIONS_FIELD_NUMBER: _ClassVar[int]
    CHUNK_ID_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    FUNCTION: ClientTask.RemoteExecType
    KWARGS_FIELD_NUMBER: _ClassVar[int]
    METHOD: ClientTask.RemoteExecType
    NAMED_ACTOR: ClientTask.RemoteExecType
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    STATIC_METHOD: ClientTask.RemoteExecType
    TOTAL_CHUNKS_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    args: _containers.RepeatedCompositeFieldContainer[Arg]
    baseline_options: TaskOptions
    chunk_id: int
    client_id: str
    data: bytes
    kwargs: _containers.MessageMap[str, Arg]
    name: str
    namespace: str
    options: TaskOptions
    payload_id: bytes
    total_chunks: int
    type: ClientTask.RemoteExecType
    def __init__(self, type: _Optional[_Union[ClientTask.RemoteExecType, str]] = ..., name: _Optional[str] = ..., payload_id: _Optional[bytes] = ..., args: _Optional[_Iterable[_Union[Arg, _Mapping]]] = ..., kwargs: _Optional[_Mapping[str, Arg]] = ..., client_id: _Optional[str] = ..., options: _Optional[_Union[TaskOptions, _Mapping]] = ..., baseline_options: _Optional[_Union[TaskOptions, _Mapping]] = ..., namespace: _Optional[str] = ..., data: _Optional[bytes] = ..., chunk_id: _Optional[int] = ..., total_chunks: _Optional[int] = ...) -> None: ...

class ClientTaskTicket(_message.Message):
    __slots__ = ["error", "return_ids", "valid"]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    RETURN_IDS_FIELD_NUMBER: _ClassVar[int]
    VALID_FIELD_NUMBER: _ClassVar[int]
    error: bytes
    return_ids: _containers.RepeatedScalarFieldContainer[bytes]
    valid: bool
    def __init__(self, valid: bool = ..., return_ids: _Optional[_Iterable[bytes]] = ..., error: _Optional[bytes] = ...) -> None: ...

class ClusterInfoRequest(_message.Message):
    __slots__ = ["type"]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    type: ClusterInfoType.TypeEnum
    def __init__(self, type: _Optional[_Union[ClusterInfoType.TypeEnum, str]] = ...) -> None: ...

class ClusterInfoResponse(_message.Message):
    __slots__ = ["json", "resource_table", "runtime_context", "type"]
    class ResourceTable(_message.Message):
        __slots__ = ["table"]
        class TableEntry(_message.Message):
            __slots__ = ["key", "value"]
            KEY_FIELD_NUMBER: _ClassVar[int]
            VALUE_FIELD_NUMBER: _ClassVar[int]
            key: str
            value: float
            def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
        TABLE_FIELD_NUMBER: _ClassVar[int]
        table: _containers.ScalarMap[str, float]
        def __init__(self, table: _Optional[_Mapping[str, float]] = ...) -> None: ...
    class RuntimeContext(_message.Message):
        __slots__ = ["capture_client_tasks", "gcs_address", "job_id", "namespace", "node_id", "runtime_env", "session_name", "worker_id"]
        CAPTURE_CLIENT_TASKS_FIELD_NUMBER: _ClassVar[int]
        GCS_ADDRESS_FIELD_NUMBER: _ClassVar[int]
        JOB_ID_FIELD_NUMBER: _ClassVar[int]
        NAMESPACE_FIELD_NUMBER: _ClassVar[int]
        NODE_ID_FIELD_NUMBER: _ClassVar[int]
        RUNTIME_ENV_FIELD_NUMBER: _ClassVar[int]
        SESSION_NAME_FIELD_NUMBER: _ClassVar[int]
        WORKER_ID_FIELD_NUMBER: _ClassVar[int]
        capture_client_tasks: bool
        gcs_address: str
        job_id: bytes
        namespace: str
        node_id: bytes
        runtime_env: str
        session_name: str
        worker_id: bytes
        def __init__(self, job_id: _Optional[bytes] = ..., node_id: _Optional[bytes] = ..., namespace: _Optional[str] = ..., runtime_env: _Optional[str] = ..., capture_client_tasks: bool = ..., gcs_address: _Optional[str] = ..., session_name: _Optional[str] = ..., worker_id: _Optional[bytes] = ...) -> None: ...
    JSON_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_TABLE_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_CONTEXT_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    json: str
    resource_table: ClusterInfoResponse.ResourceTable
    runtime_context: ClusterInfoResponse.RuntimeContext
    type: ClusterInfoType.TypeEnum
    def __init__(self, type: _Optional[_Union[ClusterInfoType.TypeEnum, str]] = ..., json: _Optional[str] = ..., resource_table: _Optional[_Union[ClusterInfoResponse.ResourceTable, _Mapping]] = ..., runtime_context: _Optional[_Union[ClusterInfoResponse.RuntimeContext, _Mapping]] = ...) -> None: ...

class ClusterInfoType(_message.Message):
    __slots__ = []
    class TypeEnum(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = []
    AVAILABLE_RESOURCES: ClusterInfoType.TypeEnum
    CLUSTER_RESOURCES: ClusterInfoType.TypeEnum
    DASHBOARD_URL: ClusterInfoType.TypeEnum
    IS_INITIALIZED: ClusterInfoType.TypeEnum
    NODES: ClusterInfoType.TypeEnum
    PING: ClusterInfoType.TypeEnum
    RUNTIME_CONTEXT: ClusterInfoType.TypeEnum
    TIMELINE: ClusterInfoType.TypeEnum
    def __init__(self) -> None: ...

class ConnectionCleanupRequest(_message.Message):
    __slots__ = []
    def __init__(self) -> None: ...

class ConnectionCleanupResponse(_message.Message):
    __slots__ = []
    def __init__(self) -> None: ...

class ConnectionInfoRequest(_message.Message):
    __slots__ = []
    def __init__(self) -> None: ...

class ConnectionInfoResponse(_message.Message):
    __slots__ = ["bulk_port", "num_clients", "python_version", "ray_commit", "ray_version"]
    BULK_PORT_FIELD_NUMBER: _ClassVar[int]
    NUM_CLIENTS_FIELD_NUMBER: _ClassVar[int]
    PYTHON_VERSION_FIELD_NUMBER: _ClassVar[int]
    RAY_COMMIT_FIELD_NUMBER: _ClassVar[int]
    RAY_VERSION_FIELD_NUMBER: _ClassVar[int]
    bulk_port: int
    num_clients: int
    python_version: str
    ray_commit: str
    ray_version: str
    def __init__(self, num_clients: _Optional[int] = ..., ray_version: _Optional[str] = ..., ray_commit: _Optional[str] = ..., python_version: _Optional[str] = ..., bulk_port: _Optional[int] = ...) -> None: ...

class DataRequest(_message.Message):
    __slots__ = ["acknowledge", "connection_cleanup", "connection_info", "get", "init", "list_named_actors", "prep_runtime_env", "put", "release", "req_id", "task", "terminate"]
    ACKNOWLEDGE_FIELD_NUMBER: _ClassVar[int]
    CONNECTION_CLEANUP_FIELD_NUMBER: _ClassVar[int]
    CONNECTION_INFO_FIELD_NUMBER: _ClassVar[int]
    GET_FIELD_NUMBER: _ClassVar[int]
    INIT_FIELD_NUMBER: _ClassVar[int]
    LIST_NAMED_ACTORS_FIELD_NUMBER: _ClassVar[int]
    PREP_RUNTIME_ENV_FIELD_NUMBER: _ClassVar[int]
    PUT_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    REQ_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    TERMINATE_FIELD_NUMBER: _ClassVar[int]
    acknowledge: AcknowledgeRequest
    connection_cleanup: ConnectionCleanupRequest
    connection_info: ConnectionInfoRequest
    get: GetRequest
    init: InitRequest
    list_named_actors: ClientListNamedActorsRequest
    prep_runtime_env: PrepRuntimeEnvRequest
    put: PutRequest
    release: ReleaseRequest
    req_id: int
    task: ClientTask
    terminate: TerminateRequest
    def __init__(self, req_id: _Optional[int] = ..., get: _Optional[_Union[GetRequest, _Mapping]] = ..., put: _Optional[_Union[PutRequest, _Mapping]] = ..., release: _Optional[_Union[ReleaseRequest, _Mapping]] = ..., connection_info: _Optional[_Union[ConnectionInfoRequest, _Mapping]] = ..., init: _Optional[_Union[InitRequest, _Mapping]] = ..., prep_runtime_env: _Optional[_Union[PrepRuntimeEnvRequest, _Mapping]] = ..., connection_cleanup: _Optional[_Union[ConnectionCleanupRequest, _Mapping]] = ..., acknowledge: _Optional[_Union[AcknowledgeRequest, _Mapping]] = ..., task: _Optional[_Union[ClientTask, _Mapping]] = ..., terminate: _Optional[_Union[TerminateRequest, _Mapping]] = ..., list_named_actors: _Optional[_Union[ClientListNamedActorsRequest, _Mapping]] = ...) -> None: ...

class DataResponse(_message.Message):
    __slots__ = ["connection_cleanup", "connection_info", "get", "init", "list_named_actors", "prep_runtime_env", "put", "release", "req_id", "task_ticket", "terminate"]
    CONNECTION_CLEANUP_FIELD_NUMBER: _ClassVar[int]
    CONNECTION_INFO_FIELD_NUMBER: _ClassVar[int]
    GET_FIELD_NUMBER: _ClassVar[int]
    INIT_FIELD_NUMBER: _ClassVar[int]
    LIST_NAMED_ACTORS_FIELD_NUMBER: _ClassVar[int]
    PREP_RUNTIME_ENV_FIELD_NUMBER: _ClassVar[int]
    PUT_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    REQ_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_TICKET_FIELD_NUMBER: _ClassVar[int]
    TERMINATE_FIELD_NUMBER: _ClassVar[int]
    connection_cleanup: ConnectionCleanupResponse
    connection_info: ConnectionInfoResponse
    get: GetResponse
    init: InitResponse
    list_named_actors: ClientListNamedActorsResponse
    prep_runtime_env: PrepRuntimeEnvResponse
    put: PutResponse
    release: ReleaseResponse
    req_id: int
    task_ticket: ClientTaskTicket
    terminate: TerminateResponse
    def __init__(self, req_id: _Optional[int] = ..., get: _Optional[_Union[GetResponse, _Mapping]] = ..., put: _Optional[_Union[PutResponse, _Mapping]] = ..., release: _Optional[_Union[ReleaseResponse, _Mapping]] = ..., connection_info: _Optional[_Union[ConnectionInfoResponse, _Mapping]] = ..., init: _Optional[_Union[InitResponse, _Mapping]] = ..., prep_runtime_env: _Optional[_Union[PrepRuntimeEnvResponse, _Mapping]] = ..., connection_cleanup: _Optional[_Union[ConnectionCleanupResponse, _Mapping]] = ..., task_ticket: _Optional[_Union[ClientTaskTicket, _Mapping]] = ..., terminate: _Optional[_Union[TerminateResponse, _Mapping]] = ..., list_named_actors: _Optional[_Union[ClientListNamedActorsResponse, _Mapping]] = ...) -> None: ...

class GetRequest(_message.Message):
    __slots__ = ["asynchronous", "bulk_id", "ids", "start_chunk_id", "timeout"]
    ASYNCHRONOUS_FIELD_NUMBER: _ClassVar[int]
    BULK_ID_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    START_CHUNK_ID_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    asynchronous: bool
    bulk_id: int
    ids: _containers.RepeatedScalarFieldContainer[bytes]
    start_chunk_id: int
    timeout: float
    def __init__(self, ids: _Optional[_Iterable[bytes]] = ..., timeout: _Optional[float] = ..., asynchronous: bool = ..., start_chunk_id: _Optional[int] = ..., bulk_id: _Optional[int] = ...) -> None: ...

class GetResponse(_message.Message):
    __slots__ = ["chunk_id", "data", "error", "in_bulk", "total_chunks", "total_size", "valid"]
    CHUNK_ID_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    IN_BULK_FIELD_NUMBER: _ClassVar[int]
    TOTAL_CHUNKS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SIZE_FIELD_NUMBER: _ClassVar[int]
    VALID_FIELD_NUMBER: _ClassVar[int]
    chunk_id: int
    data: bytes
    error: bytes
    in_bulk: bool
    total_chunks: int
    total_size: int
    valid: bool
    def __init__(self, valid: bool = ..., data: _Optional[bytes] = ..., error: _Optional[bytes] = ..., chunk_id: _Optional[int] = ..., total_chunks: _Optional[int] = ..., total_size: _Optional[int] = ..., in_bulk: bool = ...) -> None: ...

class InitRequest(_message.Message):
    __slots__ = ["job_config", "ray_init_kwargs", "reconnect_grace_period"]
    JOB_CONFIG_FIELD_NUMBER: _ClassVar[int]
    RAY_INIT_KWARGS_FIELD_NUMBER: _ClassVar[int]
    RECONNECT_GRACE_PERIOD_FIELD_NUMBER: _ClassVar[int]
    job_config: bytes
    ray_init_kwargs: str
    reconnect_grace_period: int
    def __init__(self, job_config: _Optional[bytes] = ..., ray_init_kwargs: _Optional[str] = ..., reconnect_grace_period: _Optional[int] = ...) -> None: ...

class InitResponse(_message.Message):
    __slots__ = ["msg", "ok"]
    MSG_FIELD_NUMBER: _ClassVar[int]
    OK_FIELD_NUMBER: _ClassVar[int]
    msg: str
    ok: bool
    def __init__(self, ok: bool = ..., msg: _Optional[str] = ...) -> None: ...

class KVDelRequest(_message.Message):
    __slots__ = ["del_by_prefix", "key", "namespace"]
    DEL_BY_PREFIX_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    del_by_prefix: bool
    key: bytes
    namespace: bytes
    def __init__(self, key: _Optional[bytes] = ..., del_by_prefix: bool = ..., namespace: _Optional[bytes] = ...) -> None: ...

class KVDelResponse(_message.Message):
    __slots__ = ["deleted_num"]
    DELETED_NUM_FIELD_NUMBER: _ClassVar[int]
    deleted_num: int
    def __init__(self, deleted_num: _Optional[int] = ...) -> None: ...

class KVExistsRequest(_message.Message):
    __slots__ = ["key", "namespace"]
    KEY_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    key: bytes
    namespace: bytes
    def __init__(self, key: _Optional[bytes] = ..., namespace: _Optional[bytes] = ...) -> None: ...

class KVExistsResponse(_message.Message):
    __slots__ = ["exists"]
    EXISTS_FIELD_NUMBER: _ClassVar[int]
    exists: bool
    def __init__(self, exists: bool = ...) -> None: ...

class KVGetRequest(_message.Message):
    __slots__ = ["key", "namespace"]
    KEY_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    key: bytes
    namespace: bytes
    def __init__(self, key: _Optional[bytes] = ..., namespace: _Optional[bytes] = ...) -> None: ...

class KVGetResponse(_message.Message):
    __slots__ = ["value"]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    value: bytes
    def __init__(self, value: _Optional[bytes] = ...) -> None: ...

class KVListRequest(_message.Message):
    __slots__ = ["namespace", "prefix"]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    namespace: bytes
    prefix: bytes
    def __init__(self, prefix: _Optional[bytes] = ..., namespace: _Optional[bytes] = ...) -> None: ...

class KVListResponse(_message.Message):
    __slots__ = ["keys"]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, keys: _Optional[_Iterable[bytes]] = ...) -> None: ...

class KVPutRequest(_message.Message):
    __slots__ = ["key", "namespace", "overwrite", "value"]
    KEY_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    OVERWRITE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    key: bytes
    namespace: bytes
    overwrite: bool
    value: bytes
    def __init__(self, key: _Optional[bytes] = ..., value: _Optional[bytes] = ..., overwrite: bool = ..., namespace: _Optional[bytes] = ...) -> None: ...

class KVPutResponse(_message.Message):
    __slots__ = ["already_exists"]
    ALREADY_EXISTS_FIELD_NUMBER: _ClassVar[int]
    already_exists: bool
    def __init__(self, already_exists: bool = ...) -> None: ...

class LogData(_message.Message):
    __slots__ = ["level", "msg", "name"]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    MSG_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    level: int
    msg: str
    name: str
    def __init__(self, msg: _Optional[str] = ..., level: _Optional[int] = ..., name: _Optional[str] = ...) -> None: ...

class LogSettingsRequest(_message.Message):
    __slots__ = ["enabled", "loglevel"]
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    LOGLEVEL_FIELD_NUMBER: _ClassVar[int]
    enabled: bool
    loglevel: int
    def __init__(self, enabled: bool = ..., loglevel: _Optional[int] = ...) -> None: ...

class PrepRuntimeEnvRequest(_message.Message):
    __slots__ = []
    def __init__(self) -> None: ...

class PrepRuntimeEnvResponse(_message.Message):
    __slots__ = []
    def __init__(self) -> None: ...

class PutRequest(_message.Message):
    __slots__ = ["bulk_id", "chunk_id", "client_ref_id", "data", "total_chunks", "total_size"]
    BULK_ID_FIELD_NUMBER: _ClassVar[int]
    CHUNK_ID_FIELD_NUMBER: _ClassVar[int]
    CLIENT_REF_ID_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    TOTAL_CHUNKS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SIZE_FIELD_NUMBER: _ClassVar[int]
    bulk_id: int
    chunk_id: int
    client_ref_id: bytes
    data: bytes
    total_chunks: int
    total_size: int
    def __init__(self, data: _Optional[bytes] = ..., client_ref_id: _Optional[bytes] = ..., chunk_id: _Optional[int] = ..., total_chunks: _Optional[int] = ..., total_size: _Optional[int] = ..., bulk_id: _Optional[int] = ...) -> None: ...

class PutResponse(_message.Message):
    __slots__ = ["error", "id", "valid"]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    VALID_FIELD_NUMBER: _ClassVar[int]
    error: bytes
    id: bytes
    valid: bool
    def __init__(self, id: _Optional[bytes] = ..., valid: bool = ..., error: _Optional[bytes] = ...) -> None: ...

class ReleaseRequest(_message.Message):
    __slots__ = ["ids"]
    IDS_FIELD_NUMBER: _ClassVar[int]
    ids: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, ids: _Optional[_Iterable[bytes]] = ...) -> None: ...

class ReleaseResponse(_message.Message):
    __slots__ = ["ok"]
    OK_FIELD_NUMBER: _ClassVar[int]
    ok: _containers.RepeatedScalarFieldContainer[bool]
    def __init__(self, ok: _Optional[_Iterable[bool]] = ...) -> None: ...

class TaskOptions(_message.Message):
    __slots__ = ["pickled_options"]
    PICKLED_OPTIONS_FIELD_NUMBER: _ClassVar[int]
    pickled_options: bytes
    def __init__(self, pickled_options: _Optional[bytes] = ...) -> None: ...

class TerminateRequest(_message.Message):
    __slots__ = ["actor", "client_id", "task_object"]
    class ActorTerminate(_message.Message):
        __slots__ = ["id", "no_restart"]
        ID_FIELD_NUMBER: _ClassVar[int]
        NO_RESTART_FIELD_NUMBER: _ClassVar[int]
        id: bytes
        no_restart: bool
        def __init__(self, id: _Optional[bytes] = ..., no_restart: bool = ...) -> None: ...
    class TaskObjectTerminate(_message.Message):
        __slots__ = ["force", "id", "recursive"]
        FORCE_FIELD_NUMBER: _ClassVar[int]
        ID_FIELD_NUMBER: _ClassVar[int]
        RECURSIVE_FIELD_NUMBER: _ClassVar[int]
        force: bool
        id: bytes
        recursive: bool
        def __init__(self, id: _Optional[bytes] = ..., force: bool = ..., recursive: bool = ...) -> None: ...
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_OBJECT_FIELD_NUMBER: _ClassVar[int]
    actor: TerminateRequest.ActorTerminate
    client_id: str
    task_object: TerminateRequest.TaskObjectTerminate
    def __init__(self, client_id: _Optional[str] = ..., actor: _Optional[_Union[TerminateRequest.ActorTerminate, _Mapping]] = ..., task_object: _Optional[_Union[TerminateRequest.TaskObjectTerminate, _Mapping]] = ...) -> None: ...

class TerminateResponse(_message.Message):
    __slots__ = ["ok"]
    OK_FIELD_NUMBER: _ClassVar[int]
    ok: bool
    def __init__(self, ok: bool = ...) -> None: ...

class WaitRequest(_message.Message):
    __slots__ = ["client_id", "num_returns", "object_ids", "timeout"]
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    NUM_RETURNS_FIELD_NUMBER: _ClassVar[int]
    OBJECT_IDS_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    client_id: str
    num_returns: int
    object_ids: _containers.RepeatedScalarFieldContainer[bytes]
    timeout: float
    def __init__(self, object_ids: _Optional[_Iterable[bytes]] = ..., num_returns: _Optional[int] = ..., timeout: _Optional[float] = ..., client_id: _Optional[str] = ...) -> None: ...

class WaitResponse(_message.Message):
    __slots__ = ["ready_object_ids", "remaining_object_ids", "valid"]
    READY_OBJECT_IDS_FIELD_NUMBER: _ClassVar[int]
    REMAINING_OBJECT_IDS_FIELD_NUMBER: _ClassVar[int]
    VALID_FIELD_NUMBER: _ClassVar[int]
    ready_object_ids: _containers.RepeatedScalarFieldContainer[bytes]
    remaining_object_ids: _containers.RepeatedScalarFieldContainer[bytes]
    valid: bool
    def __init__(self, valid: bool = ..., ready_object_ids: _Optional[_Iterable[bytes]] = ..., remaining_object_ids: _Optional[_Iterable[bytes]] = ...) -> None: ...
