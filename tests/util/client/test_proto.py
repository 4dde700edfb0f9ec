"""The committed code is what the .proto file says."""

from pathlib import Path

from google.protobuf import descriptor_pb2
from grpc_tools import protoc

import ray
from ray.core.generated import ray_client_pb2

SOURCE = Path(ray.__file__).parent.parent


def forget_json_names(message: descriptor_pb2.DescriptorProto) -> None:
    """protoc adds them; generated code has none."""
    for field in message.field:
        field.ClearField("json_name")
    for nested in message.nested_type:
        forget_json_names(nested)


def test_generated_code_is_up_to_date(tmp_path: Path) -> None:
    """`make proto` renews it."""
    target = tmp_path / "descriptors"
    assert protoc.main(["", f"-I{SOURCE}", f"--descriptor_set_out={target}", "ray/protobuf/ray_client.proto"]) == 0
    (compiled,) = descriptor_pb2.FileDescriptorSet.FromString(target.read_bytes()).file
    committed = descriptor_pb2.FileDescriptorProto()
    ray_client_pb2.DESCRIPTOR.CopyToProto(committed)
    for message in (*compiled.message_type, *committed.message_type):
        forget_json_names(message)
    assert committed == compiled
