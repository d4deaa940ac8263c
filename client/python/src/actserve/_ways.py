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

from actserve import _wire
from actserve._errors import ActivationError
from actserve._library import Connection
from actserve._replicas import Place, Replicas
from actserve.v1 import service_pb2

_SERVICE = service_pb2.DESCRIPTOR.services_by_name["ActivationService"]
_HEALTH_CHECK = "/grpc.health.v1.Health/Check"
_SERVING = 1


class Way(Protocol):
    """Makes one call of the contract. Thread-safe."""

    def send(
        self,
        method: str,
        header: bytes,
        payloads: Sequence[NDArray[Any]],
        deadline: float,
        place: Place | None,
    ) -> tuple[bytes, Sequence[memoryview]]:
        """Returns the response without its payloads, and those.

        Writable payloads may be kept, and used in place.

        Args:
          method: "Forward".
          header: The request without payloads.
          payloads: C-contiguous arrays.
          deadline: time.monotonic() at which to give up.
          place: As of Replicas.call().

        Raises:
          ActivationError: The error of the server, or why there is none.
        """

    def health(self, deadline: float) -> bool:
        """Returns whether calls are taken, as Client.health()."""

    def close(self) -> None:
        """Refuses further calls."""


class Remote:
    """Calls of servers."""

    def __init__(self, replicas: Replicas):
        self._replicas = replicas

    def send(
        self,
        method: str,
        header: bytes,
        payloads: Sequence[NDArray[Any]],
        deadline: float,
        place: Place | None,
    ) -> tuple[bytes, Sequence[memoryview]]:
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

    def close(self) -> None:
        self._replicas.close()


class Local:
    """Calls that this process answers.

    A child of a fork gets an engine of its own: threads do not follow.
    """

    def __init__(self, device: str, num_threads: int):
        self._device = device
        self._num_threads = num_threads
        self._lock = threading.Lock()
        # None: closed.
        self._connection: Connection | None = self._connect()

    def send(
        self,
        method: str,
        header: bytes,
        payloads: Sequence[NDArray[Any]],
        deadline: float,
        place: Place | None,
    ) -> tuple[bytes, Sequence[memoryview]]:
        timeout = deadline - time.monotonic()
        if timeout <= 0:
            raise ActivationError(
                grpc.StatusCode.DEADLINE_EXCEEDED,
                "the timeout passed before the call was sent",
            )
        reply = self._own().call(
            method,
            header,
            payloads,
            [_wire.prefix(payload.nbytes) for payload in payloads],
            # Longer than anybody waits, and a number.
            min(timeout, 1e9),
        )
        return reply.header, reply.payloads

    def health(self, deadline: float) -> bool:
        self._own()
        return True

    def close(self) -> None:
        # A running call still refers to it.
        with self._lock:
            self._connection = None

    def _connect(self) -> Connection:
        return Connection("local", self._device, self._num_threads)

    def _own(self) -> Connection:
        connection = self._connection
        if connection is not None and connection.pid != os.getpid():
            with self._lock:
                connection = self._connection
                if connection is not None and connection.pid != os.getpid():
                    connection = self._connection = self._connect()
        if connection is None:
            raise ActivationError(
                grpc.StatusCode.FAILED_PRECONDITION, "the client is closed"
            )
        return connection
