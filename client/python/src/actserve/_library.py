"""The shared library of client/c, by ctypes.

A wheel carries it beside this module; $ACTSERVE_LIBRARY names another one.
"""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
from numpy.typing import NDArray

from actserve._errors import ActivationError, Diagnostic

_NAME = "libactserve.so.1"
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
    )


def path() -> Path | None:
    """Returns the library's file, or None if there is none."""
    named = os.environ.get("ACTSERVE_LIBRARY")
    file = Path(named) if named else Path(__file__).parent / _NAME
    return file if file.is_file() else None


@functools.cache
def _load(file: Path) -> Any:
    library = ctypes.CDLL(os.fspath(file))
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
        "call": (
            pointer,
            [
                pointer,
                text,
                pointer,
                ctypes.c_size_t,
                pointer,
                ctypes.c_size_t,
                ctypes.c_double,
                pointer,
            ],
        ),
        "reply_header": (_Bytes, [pointer]),
        "reply_num_payloads": (ctypes.c_size_t, [pointer]),
        "reply_payload": (_Bytes, [pointer, ctypes.c_size_t]),
        "reply_free": (None, [pointer]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, f"actserve_{name}")
        function.restype, function.argtypes = result, arguments
    return library


class Reply:
    """A response; frees its memory when nobody views it any more.

    Attributes:
      header: Every field but the payloads.
      payloads: Writable views of the payloads.
    """

    def __init__(self, library: Any, handle: ctypes.c_void_p):
        owner = _Owner(library, handle)
        header = library.actserve_reply_header(handle)
        self.header = ctypes.string_at(header.data, header.size)
        self.payloads = [
            owner.view(library.actserve_reply_payload(handle, i))
            for i in range(library.actserve_reply_num_payloads(handle))
        ]


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


class Connection:
    """A client of the library. Thread-safe; calls do not hold the GIL.

    It ends when nobody refers to it any more, a running call included.

    Args:
      address: "local", or that of a server.
      device: Of "local": "cpu", "cuda:N" or "auto".
      num_threads: Of "local": threads that share a large tensor; 0: all.

    Attributes:
      pid: The process that made it, and alone may use it.

    Raises:
      FileNotFoundError: The library is not here.
      ActivationError: It cannot be used so.
    """

    def __init__(self, address: str, device: str = "cpu", num_threads: int = 0):
        self._client = ctypes.c_void_p()
        self.pid = os.getpid()
        file = path()
        if file is None:
            raise FileNotFoundError(
                f"no library {os.environ.get('ACTSERVE_LIBRARY') or _NAME}: "
                f"install a wheel that has it, or name it in $ACTSERVE_LIBRARY"
            )
        self._library = _load(file)
        options = _ClientOptions(
            ctypes.sizeof(_ClientOptions), 0, device.encode(), num_threads, None
        )
        self._raise_if_failed(
            self._library.actserve_connect(
                address.encode(),
                ctypes.byref(options),
                ctypes.byref(self._client),
            )
        )

    def call(
        self,
        method: str,
        header: bytes,
        payloads: Sequence[NDArray[Any]],
        prefixes: Sequence[bytes],
        timeout: float,
    ) -> Reply:
        """Makes one call of the contract.

        Args:
          method: "Forward".
          header: The request without payloads.
          payloads: C-contiguous arrays; read where they are.
          prefixes: For each the tag and length before it.
          timeout: Seconds; 0: the library's default.
        """
        parts = (_Bytes * (1 + 2 * len(payloads)))()
        # Kept alive by the tuple until the call is over.
        texts = (ctypes.c_char_p(header), *map(ctypes.c_char_p, prefixes))
        parts[0] = _bytes_of(texts[0], len(header))
        for i, payload in enumerate(payloads):
            parts[1 + 2 * i] = _bytes_of(texts[1 + i], len(prefixes[i]))
            parts[2 + 2 * i] = _Bytes(
                payload.__array_interface__["data"][0], payload.nbytes
            )
        reply = ctypes.c_void_p()
        self._raise_if_failed(
            self._library.actserve_call(
                self._client,
                method.encode(),
                parts,
                len(parts),
                None,
                0,
                timeout,
                ctypes.byref(reply),
            )
        )
        return Reply(self._library, reply)

    def __del__(self) -> None:
        # The threads of the client are those of the process that made it.
        if self._client and self.pid == os.getpid():
            self._library.actserve_close(self._client)

    def _raise_if_failed(self, status: int | None) -> None:
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


def _bytes_of(text: ctypes.c_char_p, size: int) -> _Bytes:
    return _Bytes(ctypes.cast(text, ctypes.c_void_p).value, size)


def _diagnostic(found: _Diagnostic) -> Diagnostic:
    return Diagnostic(
        found.severity.decode(),
        found.line,
        found.column,
        found.message.decode(),
    )
