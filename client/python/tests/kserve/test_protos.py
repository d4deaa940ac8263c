"""Our messages are a part of those that tritonclient has, number by number."""

import shutil
import subprocess

from google.protobuf import descriptor_pb2
from testbed import ROOT
from tritonclient.grpc import model_config_pb2, service_pb2


def ours(folder):
    """Returns our files as descriptors, by protoc."""
    out = folder / "descriptors"
    protoc = shutil.which("protoc")
    assert protoc, "scripts/setup installs protoc"
    subprocess.run(
        [
            protoc,
            f"-I{ROOT / 'proto'}",
            f"--descriptor_set_out={out}",
            "inference/model_config.proto",
            "inference/grpc_service.proto",
        ],
        check=True,
    )
    return descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file


def theirs():
    """Returns their messages, by full name."""
    found = {}

    def add(message, prefix):
        name = f"{prefix}.{message.name}"
        found[name] = message
        for nested in message.nested_type:
            add(nested, name)

    for module in (service_pb2, model_config_pb2):
        file = descriptor_pb2.FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(file)
        for message in file.message_type:
            add(message, f".{file.package}")
    return found


def described(field):
    """Returns what the wire and the generated code know of a field."""
    return (field.number, field.type, field.label, field.type_name)


# KServe has it, and Triton does not.
ONLY_OURS = {(".inference.ModelMetadataResponse", "properties")}


def test_fields(tmp_path):
    known = theirs()
    compared = 0

    def compare(message, prefix):
        nonlocal compared
        name = f"{prefix}.{message.name}"
        if name == ".inference.ModelMetadataResponse.PropertiesEntry":
            return
        fields = {field.name: field for field in known[name].field}
        for field in message.field:
            if (name, field.name) in ONLY_OURS:
                assert field.number not in [f.number for f in fields.values()]
                continue
            expected = described(fields[field.name])
            assert described(field) == expected, f"{name}.{field.name}"
            compared += 1
        for nested in message.nested_type:
            compare(nested, name)

    for file in ours(tmp_path):
        for message in file.message_type:
            compare(message, f".{file.package}")
    assert compared > 100


def test_methods(tmp_path):
    file = descriptor_pb2.FileDescriptorProto()
    service_pb2.DESCRIPTOR.CopyToProto(file)
    (service,) = file.service
    (our_service,) = [s for f in ours(tmp_path) for s in f.service]

    assert our_service.name == service.name
    assert {
        m.name: (m.input_type, m.output_type, m.client_streaming)
        for m in our_service.method
    } == {
        m.name: (m.input_type, m.output_type, m.client_streaming)
        for m in service.method
    }


def test_datatypes(tmp_path):
    (config,) = [f for f in ours(tmp_path) if f.enum_type]

    for value in config.enum_type[0].value:
        assert model_config_pb2.DataType.Value(value.name) == value.number
