"""The hot messages by hand, so that tensor bytes are copied once each way.

Requests and responses carry their tensors in `repeated bytes payload`, after
everything else. A protobuf message would copy each payload twice more;
here the metadata is a message and the payloads are joined on and cut off.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from numpy.typing import NDArray

from actserve.v1.service_pb2 import ForwardResponse

PAYLOAD_FIELD = ForwardResponse.PAYLOAD_FIELD_NUMBER
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_PAYLOAD_TAG = PAYLOAD_FIELD << 3 | _LENGTH


def join_request(header: bytes, payloads: Iterable[NDArray[Any]]) -> bytes:
    """Returns the message `header` with `payloads` added.

    Args:
      header: A serialized request without payload.
      payloads: C-contiguous arrays of any dtype and shape.
    """
    parts: list[Any] = [header]
    for payload in payloads:
        parts.append(prefix(payload.nbytes))
        # Viewed as bytes, because bfloat16 has no buffer protocol.
        parts.append(payload.reshape(-1).view("u1"))
    return b"".join(parts)


def split_response(message: bytes) -> tuple[bytes, list[memoryview]]:
    """Returns the message without its payloads, and a view of each payload.

    Accepts the fields in any order.

    Raises:
      ValueError: `message` is not a protobuf message.
    """
    header: list[memoryview] = []
    payloads: list[memoryview] = []
    view = memoryview(message)
    position = 0
    while position < len(view):
        start = position
        tag, position = _read_varint(view, position)
        wire_type = tag & 7
        if wire_type == _VARINT:
            _, position = _read_varint(view, position)
        elif wire_type == _LENGTH:
            size, position = _read_varint(view, position)
            position += size
        elif wire_type == _FIXED64:
            position += 8
        elif wire_type == _FIXED32:
            position += 4
        else:
            raise ValueError(f"byte {start}: wire type {wire_type}")
        if position > len(view):
            raise ValueError(f"byte {start}: field runs past the end")
        if tag == _PAYLOAD_TAG:
            payloads.append(view[position - size : position])
        else:
            header.append(view[start:position])
    return b"".join(header), payloads


def prefix(size: int) -> bytes:
    """Returns tag and length of a payload of `size` bytes."""
    prefix = bytearray([_PAYLOAD_TAG])
    while size > 0x7F:
        prefix.append(size & 0x7F | 0x80)
        size >>= 7
    prefix.append(size)
    return bytes(prefix)


def _read_varint(view: memoryview, position: int) -> tuple[int, int]:
    """Returns the number that begins at `position`, and the position after."""
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(view):
            raise ValueError("ends inside a varint")
        byte = view[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ValueError(f"byte {position}: varint of more than 10 bytes")
