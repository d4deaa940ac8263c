"""How the calls of a client reach what computes them."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from typing import Any, Protocol

import grpc
from google.protobuf import wrappers_pb2
from numpy.typing import NDArray

from actserve import _trace, _wire
from actserve._address import AUTO, LOCAL
from actserve._arrays.device import are_used
from actserve._errors import ActivationError
from actserve._library import Connection, Options, can_reach_servers
from actserve._replicas import Place, Replicas, forked
from actserve.v1 import service_pb2

_SERVICE = service_pb2.DESCRIPTOR.services_by_name["ActivationService"]
_HEALTH_CHECK = "/grpc.health.v1.Health/Check"
_SERVING = 1

# A response without its payloads, and those.
Answer = tuple[bytes, Sequence[memoryview | NDArray[Any]]]


class Way(Protocol):
    """Makes one call of the contract. Thread-safe."""

    def send(
        self,
        method: str,
        header: bytes,
        payloads: Sequence[NDArray[Any]],
        deadline: float,
        place: Place | None,
        outputs: Sequence[NDArray[Any]] = (),
    ) -> Answer:
        """Returns the response without its payloads, and those.

        Writable payloads may be kept, and used in place. They may be `outputs`
        themselves: those were written.

        Args:
          method: "Forward".
          header: The request without payloads.
          payloads: C-contiguous arrays.
          deadline: time.monotonic() at which to give up.
          place: As of Replicas.call().
          outputs: C-contiguous arrays in which payloads of the response may be
            put, if there are as many and their sizes are equal.

        Raises:
          ActivationError: The error of the server, or why there is none.
        """

    def health(self, deadline: float) -> bool:
        """Returns whether calls are taken, as Client.health()."""

    def allocate(self, size: int) -> memoryview:
        """Returns memory for arrays, which calls use in place if they can."""

    def share_device(self, pointer: int) -> None:
        """Shares an allocation on a GPU, as Connection.share_device()."""

    def forget_device(self, pointer: int | None) -> None:
        """Ends that, as Connection.forget_device()."""

    def fast_calls(self) -> Any:
        """Returns Connection.fast_calls(); None: there is no such thing."""

    def raise_failed(self, status: int) -> None:
        """Raises the error of a fast call."""

    def close(self) -> None:
        """Refuses further calls."""


class Remote:
    """Calls of servers by grpcio."""

    def __init__(self, replicas: Replicas):
        self._replicas = replicas

    def send(
        self,
        method: str,
        header: bytes,
        payloads: Sequence[NDArray[Any]],
        deadline: float,
        place: Place | None,
        outputs: Sequence[NDArray[Any]] = (),
    ) -> Answer:
        if are_used((*payloads, *outputs)):
            self.share_device(0)
        path = f"/{_SERVICE.full_name}/{_SERVICE.methods_by_name[method].name}"
        message = _wire.join_request(header, payloads)
        answer = self._replicas.call(path, message, deadline, place)
        try:
            return _wire.split_response(answer)
        except ValueError as error:
            raise ActivationError(
                grpc.StatusCode.INTERNAL, f"malformed response: {error}"
            ) from error

    def health(self, deadline: float) -> bool:
        failure: ActivationError | None = None
        has_answer = False
        for replica in self._replicas.all(deadline):
            # HealthCheckRequest and HealthCheckResponse of grpc.health.v1 are a
            # string and an enum in field 1, as these two are.
            try:
                answer = self._replicas.call_once(
                    _HEALTH_CHECK,
                    wrappers_pb2.StringValue().SerializeToString(),
                    deadline,
                    replica,
                )
            except ActivationError as error:
                failure = error
                continue
            has_answer = True
            if wrappers_pb2.Int32Value.FromString(answer).value == _SERVING:
                return True
        if failure is not None and not has_answer:
            raise failure
        return False

    def allocate(self, size: int) -> memoryview:
        return memoryview(bytearray(size))

    def share_device(self, pointer: int) -> None:
        raise ActivationError(
            grpc.StatusCode.FAILED_PRECONDITION,
            "memory of a GPU is shared with a server by the library, which is "
            "not here, or not to be used; copy the tensors to memory of the "
            "host",
        )

    def forget_device(self, pointer: int | None) -> None:
        pass

    def fast_calls(self) -> Any:
        return None

    def raise_failed(self, status: int) -> None:
        raise AssertionError("there are no fast calls")

    def close(self) -> None:
        self._replicas.close()


class Library:
    """Calls of the library of client/c: of servers, or of this process.

    Connects at the first call, so that a client made before a fork may be used
    after it. In a child of the process that used it, one that computes here
    gets an engine of its own; one of servers refuses, as Remote does.
    """

    def __init__(self, address: str, options: Options):
        self._address = address
        self._options = options
        self._is_local = address == LOCAL
        self._lock = threading.Lock()
        self._closed = False
        self._connection: Connection | None = None
        if self._is_local:
            self._connection = Connection(address, options)

    def send(
        self,
        method: str,
        header: bytes,
        payloads: Sequence[NDArray[Any]],
        deadline: float,
        place: Place | None,
        outputs: Sequence[NDArray[Any]] = (),
    ) -> Answer:
        connection = self._own()
        timeout = deadline - time.monotonic()
        if timeout <= 0:
            raise ActivationError(
                grpc.StatusCode.DEADLINE_EXCEEDED,
                "the timeout passed before the call was sent",
            )
        reply = connection.call(
            method,
            header,
            payloads,
            [_wire.prefix(payload.nbytes) for payload in payloads],
            # Longer than anybody waits, and a number.
            min(timeout, 1e9),
            outputs,
            place,
            dict(_trace.headers()),
        )
        return reply.header, reply.payloads

    def health(self, deadline: float) -> bool:
        timeout = max(deadline - time.monotonic(), 1e-9)
        return self._own().health(min(timeout, 1e9))

    def allocate(self, size: int) -> memoryview:
        return self._own().allocate(size)

    def share_device(self, pointer: int) -> None:
        self._own().share_device(pointer)

    def forget_device(self, pointer: int | None) -> None:
        connection = self._connection
        if connection is not None and connection.pid == os.getpid():
            connection.forget_device(pointer)

    def fast_calls(self) -> Any:
        return self._own().fast_calls()

    def raise_failed(self, status: int) -> None:
        # Any connection reads it.
        connection = self._connection or Connection(
            self._address, self._options
        )
        connection.raise_if_failed(status)

    def close(self) -> None:
        # A running call still refers to it.
        with self._lock:
            connection, self._connection = self._connection, None
            self._closed = True
        if connection is not None and connection.pid == os.getpid():
            connection.cancel()

    def _own(self) -> Connection:
        connection = self._connection
        if connection is not None and connection.pid == os.getpid():
            return connection
        with self._lock:
            if self._closed:
                raise ActivationError(
                    grpc.StatusCode.FAILED_PRECONDITION, "the client is closed"
                )
            connection = self._connection
            if connection is None or (
                self._is_local and connection.pid != os.getpid()
            ):
                connection = Connection(self._address, self._options)
                self._connection = connection
        if connection.pid != os.getpid():
            raise forked(connection.pid)
        return connection


def way_to(address: str, options: Options, pure: bool) -> Way:
    """Returns how calls reach `address`: by the library, if it can be used.

    Args:
      address: As resolve() returns it.
      options: Of the client.
      pure: Do not use the library for servers.
    """
    if address == LOCAL:
        return Library(address, options)
    # Reads the files, and refuses what cannot be.
    security = options.security.load(address.removeprefix(AUTO))
    if address.startswith(AUTO):
        if pure or not can_reach_servers():
            raise FileNotFoundError(
                f"{address}: only the library can choose, which is not "
                f"here, or not to be used"
            )
        return Library(address, options)
    if pure or not can_reach_servers():
        return Remote(
            Replicas(address, options.max_attempts, security=security)
        )
    return Library(address, options)
