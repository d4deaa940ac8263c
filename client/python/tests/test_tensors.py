"""Arrays to bytes and back; the hand-written wire against protobuf's."""

import random

import ml_dtypes
import numpy as np
import pytest
from google.protobuf.message import DecodeError

import actserve
from actserve import _tensors, _wire
from actserve.v1 import service_pb2, tensor_pb2

DTYPES = [np.float16, ml_dtypes.bfloat16, np.float32, np.float64]
SHAPES = [(), (0,), (3, 0, 2), (1,), (5,), (2, 3, 4)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_arrays_survive_the_wire(dtype, shape):
    array = np.asarray(np.random.default_rng(1).normal(size=shape), dtype)
    header = service_pb2.ForwardRequest(
        activation="f", inputs=[_tensors.to_proto(array)]
    )

    message = _wire.join_request(header.SerializeToString(), [array, array])
    parsed = service_pb2.ForwardRequest.FromString(message)
    rest, payloads = _wire.split_response(message)
    back = _tensors.from_proto(parsed.inputs[0], payloads[1])

    assert list(parsed.payload) == [array.tobytes()] * 2
    assert rest == header.SerializeToString()
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    assert back.tobytes() == array.tobytes()
    assert back.flags.writeable


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16383, 16384, 300_000])
def test_payload_lengths(size):
    payload = np.arange(size, dtype=np.uint8)

    message = _wire.join_request(b"", [payload])

    want = service_pb2.ForwardRequest(payload=[payload.tobytes()])
    assert message == want.SerializeToString()


def test_splits_fields_in_any_order():
    parts = [
        service_pb2.ForwardResponse(device="cpu"),
        service_pb2.ForwardResponse(payload=[b"ab"]),
        service_pb2.ForwardResponse(program_id="p"),
        service_pb2.ForwardResponse(payload=[b""]),
    ]

    header, payloads = _wire.split_response(
        b"".join(part.SerializeToString() for part in parts)
    )

    assert list(map(bytes, payloads)) == [b"ab", b""]
    assert service_pb2.ForwardResponse.FromString(
        header
    ) == service_pb2.ForwardResponse(device="cpu", program_id="p")


def test_mutated_bytes_are_parsed_as_protobuf_does_or_refused():
    generator = random.Random(7)
    start = service_pb2.ForwardResponse(
        activation_id="id", device="cpu", payload=[b"12345678", b"xyz"]
    ).SerializeToString()
    for _ in range(3000):
        message = bytearray(start)
        for _ in range(generator.randint(1, 3)):
            message[generator.randrange(len(message))] = generator.randrange(
                256
            )
        message = bytes(message[: generator.randint(1, len(message))])
        try:
            header, payloads = _wire.split_response(message)
            got = service_pb2.ForwardResponse.FromString(header)
        except (ValueError, DecodeError):
            continue
        want = service_pb2.ForwardResponse.FromString(message)
        assert list(map(bytes, payloads)) == list(want.payload)
        del want.payload[:]
        assert got == want


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (1.5, np.float32),
        (3, np.float32),
        ([0.5, 0.75], np.float32),
        (np.float64(1.5), np.float64),
        (np.arange(3, dtype=">f8"), np.float64),
        (np.arange(3, dtype=">f2"), np.float16),
        (np.arange(6, dtype=np.float32).reshape(2, 3).T, np.float32),
        (np.arange(6, dtype=np.float64)[::-2], np.float64),
        (memoryview(np.ones(2, np.float32)), np.float32),
    ],
    # An address in a name would make it another test in each process.
    ids=lambda value: str(value).partition(" at ")[0],
)
def test_accepts(value, dtype):
    (array,) = _tensors.to_arrays([value], ["x"])

    assert array.dtype == dtype
    assert array.dtype.isnative
    assert array.flags.c_contiguous
    np.testing.assert_array_equal(array, np.asarray(value))


def test_contiguous_arrays_are_not_copied():
    x = np.ones((2, 3), np.float32)

    assert _tensors.to_arrays([x], ["x"])[0] is x


def test_numbers_take_the_dtype_beside_them():
    arrays = _tensors.to_arrays([1.0, np.float16(2)], ["a", "b"])

    assert [array.dtype for array in arrays] == [np.float16, np.float16]


@pytest.mark.parametrize(
    "value",
    [
        np.arange(3),
        np.ones(2, bool),
        np.ones(2, np.complex64),
        np.ones(2, np.longdouble),
        np.ones(2, ml_dtypes.float8_e4m3fn),
        np.array(["a"]),
        np.array([None]),
    ],
    ids=lambda value: value.dtype.name,
)
def test_refuses_other_dtypes_with_advice(value):
    with pytest.raises(TypeError) as caught:
        _tensors.to_arrays([value], ["inputs[0]"])

    assert str(caught.value) == (
        f"inputs[0] has dtype {value.dtype}; convert it to one of float16, "
        f"bfloat16, float32, float64, for example "
        f"inputs[0].astype(numpy.float32)"
    )


@pytest.mark.parametrize(
    "value", [["a"], [[1.0], [1.0, 2.0]], [1j], [None, {}]]
)
def test_refuses_lists_of_anything_else(value):
    with pytest.raises(TypeError, match="x is not a tensor of numbers"):
        _tensors.to_arrays([value], ["x"])


@pytest.mark.parametrize(
    ("tensor", "size"),
    [
        (tensor_pb2.Tensor(dtype=tensor_pb2.DTYPE_FLOAT32, shape=[2]), 7),
        (tensor_pb2.Tensor(shape=[2]), 8),
        (tensor_pb2.Tensor(dtype=tensor_pb2.DTYPE_FLOAT32, shape=[-2]), 8),
    ],
    ids=["bytes", "dtype", "shape"],
)
def test_refuses_responses_that_do_not_add_up(tensor, size):
    with pytest.raises(actserve.ActivationError, match="response holds"):
        _tensors.from_proto(tensor, memoryview(bytes(size)))
