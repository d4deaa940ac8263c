"""The shared library of client/c, by ctypes.

A wheel carries it beside this module; $ACTSERVE_LIBRARY names another one.
"""

from __future__ import annotations

import ctypes
import dataclasses
import functools
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import grpc

from actserve._address import LOCAL
from actserve._arrays.device import DeviceArray, on_gpus, stream_of
from actserve._errors import ActivationError, Diagnostic
from actserve._replicas import Place
from actserve._security import Security

_NAME = "libactserve.so.1"
_FAST = "_actserve_fast.abi3.so"
# The process in which the library first reached for servers.
_first_user: int | None = None
_CODES = {code.value[0]: code for code in grpc.StatusCode}


class _Bytes(ctypes.Structure):
    _fields_ = (("data", ctypes.c_void_p), ("size", ctypes.c_size_t))


class _Diagnostic(ctypes.Structure):
    _fields_ = (
        ("severity", ctypes.c_char_p),
        ("message", ctypes.c_char_p),
        ("line", ctypes.c_int32),
        ("column", ctypes.c_int32),
    )


class _ClientOptions(ctypes.Structure):
    _fields_ = (
        ("size", ctypes.c_size_t),
        ("timeout_seconds", ctypes.c_double),
        ("device", ctypes.c_char_p),
        ("num_threads", ctypes.c_int32),
        ("cache_directory", ctypes.c_char_p),
        ("max_attempts", ctypes.c_int32),
        ("tls_ca", ctypes.c_char_p),
        ("client_cert", ctypes.c_char_p),
        ("client_key", ctypes.c_char_p),
        ("tls_server_name", ctypes.c_char_p),
        ("token", ctypes.c_char_p),
        ("token_file", ctypes.c_char_p),
        ("insecure", ctypes.c_int32),
    )


class _EncodedCall(ctypes.Structure):
    _fields_ = (
        ("size", ctypes.c_size_t),
        ("method", ctypes.c_char_p),
        ("parts", ctypes.POINTER(_Bytes)),
        ("num_parts", ctypes.c_size_t),
        ("outputs", ctypes.POINTER(_Bytes)),
        ("num_outputs", ctypes.c_size_t),
        ("timeout_seconds", ctypes.c_double),
        ("traceparent", ctypes.c_char_p),
        ("tracestate", ctypes.c_char_p),
        ("place", ctypes.c_uint64),
        ("has_device_stream", ctypes.c_int32),
        ("device_stream", ctypes.c_void_p),
    )


def path() -> Path | None:
    """Returns the library's file, or None if there is none.

    $ACTSERVE_LIBRARY may be "none".
    """
    named = os.environ.get("ACTSERVE_LIBRARY")
    if named == "none":
        return None
    file = Path(named) if named else Path(__file__).parent / _NAME
    return file if file.is_file() else None


def can_reach_servers() -> bool:
    """Returns whether a new connection of this process may go to servers.

    False without the library; and in a child of a process that had one, as
    gRPC's threads do not follow a fork.
    """
    return path() is not None and _first_user in (None, os.getpid())


def _dlopen_mode() -> int:
    """Returns how the library is loaded.

    TensorFlow gives its own OpenSSL and protobuf to everything that is loaded
    after it; the library needs those that it was linked with. Elsewhere it is
    loaded as usual, for those who replace malloc or use a sanitizer.
    """
    if "tensorflow" in sys.modules:
        return ctypes.DEFAULT_MODE | getattr(os, "RTLD_DEEPBIND", 0)
    return ctypes.DEFAULT_MODE


@functools.cache
def _load(file: Path) -> Any:
    library = ctypes.CDLL(os.fspath(file), _dlopen_mode())
    pointer, text = ctypes.c_void_p, ctypes.c_char_p
    signatures: dict[str, tuple[Any, list[Any]]] = {
        "version": (text, []),
        "status_code": (ctypes.c_int, [pointer]),
        "status_message": (text, [pointer]),
        "status_reason": (text, [pointer]),
        "status_num_diagnostics": (ctypes.c_size_t, [pointer]),
        "status_diagnostic": (_Diagnostic, [pointer, ctypes.c_size_t]),
        "status_free": (None, [pointer]),
        "connect": (pointer, [text, pointer, pointer]),
        "close": (None, [pointer]),
        "cancel": (None, [pointer]),
        "allocate": (pointer, [pointer, ctypes.c_size_t]),
        "memory_data": (pointer, [pointer]),
        "memory_free": (None, [pointer]),
        "share_device": (pointer, [pointer, pointer]),
        "forget_device": (None, [pointer, pointer]),
        "health": (pointer, [pointer, ctypes.c_double, pointer]),
        "call": (pointer, [pointer, pointer, pointer]),
        "reply_header": (_Bytes, [pointer]),
        "reply_num_payloads": (ctypes.c_size_t, [pointer]),
        "reply_payload": (_Bytes, [pointer, ctypes.c_size_t]),
        "reply_free": (None, [pointer]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, f"actserve_{name}")
        function.restype, function.argtypes = result, arguments
    return library


@functools.cache
def _load_fast(library: Path) -> Any:
    """Returns the extension of native/fast.c beside the library, or None."""
    file = library.parent / _FAST
    if not file.is_file():
        return None
    loader = importlib.machinery.ExtensionFileLoader(
        "_actserve_fast", os.fspath(file)
    )
    spec = importlib.util.spec_from_loader("_actserve_fast", loader)
    assert spec is not None
    try:
        module = importlib.util.module_from_spec(spec)
        loader.exec_module(module)
    except ImportError:  # another kind of Python
        return None
    return module


class Reply:
    """A response; frees its memory when nobody views it any more.

    Attributes:
      header: Every field but the payloads.
      payloads: Writable views of the payloads, or the outputs that they were
        written to.
    """

    def __init__(
        self,
        library: Any,
        handle: ctypes.c_void_p,
        outputs: Sequence[Any],
    ):
        owner = _Owner(library, handle)
        header = library.actserve_reply_header(handle)
        self.header = ctypes.string_at(header.data, header.size)
        payloads = [
            library.actserve_reply_payload(handle, i)
            for i in range(library.actserve_reply_num_payloads(handle))
        ]
        self.payloads: Sequence[Any]
        if len(payloads) == len(outputs) and all(
            not payload.size or payload.data == _address(output)
            for payload, output in zip(payloads, outputs, strict=True)
        ):
            self.payloads = outputs
        else:
            self.payloads = [owner.view(payload) for payload in payloads]


class _Owner:
    """Frees a reply with the last view of it."""

    def __init__(self, library: Any, handle: ctypes.c_void_p):
        self._library = library
        self._handle = handle

    def view(self, payload: _Bytes) -> memoryview:
        if not payload.size:
            return memoryview(b"")
        memory = (ctypes.c_ubyte * payload.size).from_address(payload.data)
        memory._owner = self  # lives as long as the view's memory
        return memoryview(memory).cast("B")

    def __del__(self) -> None:
        self._library.actserve_reply_free(self._handle)


class _Memory:
    """Frees memory of the library with the last view of it."""

    def __init__(self, library: Any, handle: int):
        self._library = library
        self._handle = handle

    def __del__(self) -> None:
        self._library.actserve_memory_free(self._handle)


@dataclasses.dataclass(frozen=True)
class Options:
    """What a connection is made with; the fields are those of connect().

    Attributes:
      timeout: Seconds; of a call that names none.
    """

    timeout: float = 0.0
    device: str = "cpu"
    num_threads: int = 0
    max_attempts: int = 0
    security: Security = dataclasses.field(default_factory=Security)


class Connection:
    """A client of the library. Thread-safe; calls do not hold the GIL.

    It ends when nobody refers to it any more, a running call included.

    Args:
      address: "local", or that of servers.
      options: The rest.

    Attributes:
      pid: The process that made it, and alone may use it.

    Raises:
      FileNotFoundError: The library is not here.
      ActivationError: It cannot be used so.
    """

    def __init__(self, address: str, options: Options):
        self._client = ctypes.c_void_p()
        self.pid = os.getpid()
        file = path()
        if file is None:
            raise FileNotFoundError(
                f"no library {os.environ.get('ACTSERVE_LIBRARY') or _NAME}: "
                f"install a wheel that has it, or name it in $ACTSERVE_LIBRARY"
            )
        self._library = _load(file)
        if address != LOCAL:
            global _first_user
            _first_user = self.pid
        security = options.security
        given = _ClientOptions(
            size=ctypes.sizeof(_ClientOptions),
            timeout_seconds=options.timeout,
            device=options.device.encode(),
            num_threads=options.num_threads,
            max_attempts=options.max_attempts,
            insecure=security.insecure,
            **{
                name: os.fsencode(getattr(security, name) or "")
                for name in (
                    "tls_ca",
                    "client_cert",
                    "client_key",
                    "tls_server_name",
                    "token",
                    "token_file",
                )
            },
        )
        self.raise_if_failed(
            self._library.actserve_connect(
                address.encode(),
                ctypes.byref(given),
                ctypes.byref(self._client),
            )
        )

    def call(
        self,
        method: str,
        header: bytes,
        payloads: Sequence[Any],
        prefixes: Sequence[bytes],
        timeout: float,
        outputs: Sequence[Any] = (),
        place: Place | None = None,
        trace: Mapping[str, str] | None = None,
    ) -> Reply:
        """Makes one call of the contract.

        Args:
          method: "Forward".
          header: The request without payloads.
          payloads: C-contiguous arrays; read where they are. Those and
            `outputs` may be DeviceArrays.
          prefixes: For each the tag and length before it.
          timeout: Seconds; 0: that of the connection.
          outputs: C-contiguous arrays; payloads of the response are written
            there, if there are as many and their sizes are equal.
          place: Where it goes first, and then where it was answered: a number
            of the library.
          trace: Headers of the caller's trace.
        """
        parts = (_Bytes * (1 + 2 * len(payloads)))()
        # Kept alive by the tuple until the call is over.
        texts = (ctypes.c_char_p(header), *map(ctypes.c_char_p, prefixes))
        parts[0] = _bytes_of(texts[0], len(header))
        for i, payload in enumerate(payloads):
            parts[1 + 2 * i] = _bytes_of(texts[1 + i], len(prefixes[i]))
            parts[2 + 2 * i] = _Bytes(_address(payload), payload.nbytes)
        places = (_Bytes * len(outputs))()
        for i, output in enumerate(outputs):
            places[i] = _Bytes(_address(output), output.nbytes)
        on_gpu = on_gpus((*payloads, *outputs))
        for array in on_gpu:
            self.share_device(array.pointer)
        stream = stream_of(on_gpu)
        trace = trace or {}
        call = _EncodedCall(
            size=ctypes.sizeof(_EncodedCall),
            method=method.encode(),
            parts=parts,
            num_parts=len(parts),
            outputs=places,
            num_outputs=len(places),
            timeout_seconds=timeout,
            traceparent=trace.get("traceparent", "").encode(),
            tracestate=trace.get("tracestate", "").encode(),
            place=(place and place.replica) or 0,
            has_device_stream=stream is not None,
            device_stream=stream,
        )
        reply = ctypes.c_void_p()
        status = self._library.actserve_call(
            self._client, ctypes.byref(call), ctypes.byref(reply)
        )
        if place is not None:
            place.replica = call.place or None
        self.raise_if_failed(status)
        return Reply(self._library, reply, outputs)

    def fast_calls(self) -> Any:
        """Returns what repeats calls of this connection, or None.

        It has remember() and run() of native/fast.c, and keeps the connection.
        """
        file = path()
        module = None if file is None else _load_fast(file)
        if module is None:
            return None
        function = ctypes.cast(self._library.actserve_call, ctypes.c_void_p)
        return module.Calls(function.value, self._client.value, self)

    def health(self, timeout: float) -> bool:
        """Returns whether a server takes calls; raises if none answers."""
        serving = ctypes.c_int32()
        self.raise_if_failed(
            self._library.actserve_health(
                self._client, timeout, ctypes.byref(serving)
            )
        )
        return bool(serving.value)

    def allocate(self, size: int) -> memoryview:
        """Returns memory that calls use in place where it is shared.

        It is freed with the last view of it.
        """
        handle = self._library.actserve_allocate(self._client, size)
        if not handle:
            raise MemoryError(f"no memory of {size} bytes")
        owner = _Memory(self._library, handle)
        data = self._library.actserve_memory_data(handle)
        memory: Any = (ctypes.c_ubyte * size).from_address(data)
        memory._owner = owner  # lives as long as the view's memory
        return memoryview(memory).cast("B")

    def share_device(self, pointer: int) -> None:
        """Shares the allocation on a GPU around an address with the server.

        Quick where that was done before.

        Raises:
          ActivationError: That cannot be.
        """
        self.raise_if_failed(
            self._library.actserve_share_device(self._client, pointer)
        )

    def forget_device(self, pointer: int | None) -> None:
        """Ends that; None: of all."""
        self._library.actserve_forget_device(self._client, pointer)

    def cancel(self) -> None:
        """Ends the calls that are running, and all later ones."""
        self._library.actserve_cancel(self._client)

    def __del__(self) -> None:
        # The threads of the client are those of the process that made it.
        if self._client and self.pid == os.getpid():
            self._library.actserve_close(self._client)

    def raise_if_failed(self, status: int | None) -> None:
        """Raises what a status says, and frees it."""
        if not status:
            return
        library = self._library
        try:
            raise ActivationError(
                _CODES[library.actserve_status_code(status)],
                library.actserve_status_message(status).decode(),
                [
                    _diagnostic(library.actserve_status_diagnostic(status, i))
                    for i in range(
                        library.actserve_status_num_diagnostics(status)
                    )
                ],
                library.actserve_status_reason(status).decode() or None,
            )
        finally:
            library.actserve_status_free(status)


def _address(array: Any) -> int:
    if isinstance(array, DeviceArray):
        return array.pointer
    address: int = array.__array_interface__["data"][0]
    return address


def _bytes_of(text: ctypes.c_char_p, size: int) -> _Bytes:
    return _Bytes(ctypes.cast(text, ctypes.c_void_p).value, size)


def _diagnostic(found: _Diagnostic) -> Diagnostic:
    return Diagnostic(
        found.severity.decode(),
        found.line,
        found.column,
        found.message.decode(),
    )
