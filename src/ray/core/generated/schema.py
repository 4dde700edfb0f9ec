"""Protobuf messages and enumerations from tables, as `protoc` would make them. Needs the package `protobuf`.

Tests and tools read tables of the cluster in this form (`GlobalStateAccessor`). Nothing in pure-ray speaks it on the
wire, so field numbers are those of the order here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.internal import enum_type_wrapper

PACKAGE = "pure_ray.rpc"
_TYPES = {"string": 9, "bytes": 12, "int32": 5, "int64": 3, "double": 1, "bool": 8}
Fields = Mapping[str, str]
"""By name: a type, "Message" or "Enum" of the same or an imported file; a list: "[type]"; a dict: "{string: type}"."""


def build(
    file: str,
    enums: Mapping[str, str],
    messages: Mapping[str, Fields],
    imports: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Classes and enumerations by name; values of top-level enumerations as well, as in a generated module.

    Args:
        enums: by name, or by "Message.Name" for one inside a message: its values apart by spaces, "-" for a number
            without one.
        messages: their fields.
    """
    proto = descriptor_pb2.FileDescriptorProto(name=f"pure_ray/{file}.proto", package=PACKAGE, syntax="proto3")
    proto.dependency.extend(f"pure_ray/{each}.proto" for each in imports)
    by_name: dict[str, Any] = {}
    for name, fields in messages.items():
        by_name[name] = proto.message_type.add(name=name)
        for number, (field, kind) in enumerate(fields.items(), 1):
            _add_field(by_name[name], field, number, kind)
    for name, values in enums.items():
        message, _, short = name.rpartition(".")
        enum = (by_name[message] if message else proto).enum_type.add(name=short)
        for number, value in enumerate(values.split()):
            if value != "-":
                enum.value.add(name=value, number=number)
    pool = descriptor_pool.Default()  # type: ignore[no-untyped-call]
    pool.AddSerializedFile(proto.SerializeToString())
    made = pool.FindFileByName(proto.name)
    names: dict[str, Any] = {"DESCRIPTOR": made}
    for name, descriptor in made.message_types_by_name.items():
        names[name] = message_factory.GetMessageClass(descriptor)
    for name, descriptor in made.enum_types_by_name.items():
        names[name] = enum_type_wrapper.EnumTypeWrapper(descriptor)  # type: ignore[no-untyped-call]
        names.update((value.name, value.number) for value in descriptor.values)
    return names


def _add_field(message: Any, name: str, number: int, kind: str) -> None:
    label = 3 if kind[0] in "[{" else 1
    field = message.field.add(name=name, number=number, label=label)
    if kind[0] == "{":  # a map is a list of entries, by convention
        entry = message.nested_type.add(name="".join(part.capitalize() for part in name.split("_")) + "Entry")
        entry.options.map_entry = True
        _add_field(entry, "key", 1, "string")
        _add_field(entry, "value", 2, kind[1:-1].split(": ")[1])
        field.type, field.type_name = 11, f".{PACKAGE}.{message.name}.{entry.name}"
        return
    kind = kind.strip("[]")
    if kind in _TYPES:
        field.type = _TYPES[kind]
    elif kind.startswith("enum "):
        field.type, field.type_name = 14, f".{PACKAGE}.{kind[5:]}"
    else:
        field.type, field.type_name = 11, f".{PACKAGE}.{kind}"
