"""One connection: deadlines, bounded retries, errors as ActivationError."""

from __future__ import annotations

import itertools
import os
import random
import threading
import time
from collections.abc import Callable
from typing import Any

import grpc

from actserve import _address, _retry
from actserve._errors import (
    ActivationError,
    answered_by_server,
    error_from_rpc,
    pushback_of,
)

# Protobuf's and gRPC's own bound on one message.
_MAX_MESSAGE_BYTES = 2**31 - 1


class Channel:
    """Sends serialized requests and returns serialized responses.

    Connects at the first call, so one made before a fork may be used after it;
    once it has been used, gRPC's threads exist in this process only, and calls
    from a forked one are refused instead of hanging. Thread-safe.
    """

    def __init__(
        self,
        target: str,
        max_attempts: int,
        sleep: Callable[[float], None] = time.sleep,
    ):
        self._target = target
        self._max_attempts = max_attempts
        self._sleep = sleep
        self._lock = threading.Lock()
        self._channel: grpc.Channel | None = None
        self._methods: dict[str, Any] = {}
        self._pid = 0
        self._closed = False

    def call(
        self,
        method: str,
        request: bytes,
        deadline: float,
        max_attempts: int | None = None,
    ) -> bytes:
        """Returns the response of a method.

        Sends the request again by the rule of client/README.md. That is safe
        because every method of the contract may be repeated.

        Args:
          method: A path like "/package.Service/Name".
          request: The message.
          deadline: time.monotonic() at which to give up, retries included.
          max_attempts: Limit on the attempts; None: the channel's.

        Raises:
          ActivationError: The error of the server; UNAVAILABLE if it did not
            answer, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED if `request` is beyond
            2 GiB, FAILED_PRECONDITION after close() or a fork.
        """
        if len(request) > _MAX_MESSAGE_BYTES:
            raise ActivationError(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"request of {len(request)} bytes, limit "
                f"{_MAX_MESSAGE_BYTES}; send the batch in parts",
            )
        if max_attempts is None:
            max_attempts = self._max_attempts
        for attempt in itertools.count(1):
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise ActivationError(
                    grpc.StatusCode.DEADLINE_EXCEEDED,
                    f"the timeout passed before attempt {attempt}",
                )
            try:
                response: bytes = self._method(method)(
                    request, timeout=remaining
                )
                return response
            except grpc.RpcError as error:
                failure = error_from_rpc(error)
                attempted = _retry.FailedAttempt(
                    failure.code,
                    failure.message,
                    answered_by_server(error),
                    pushback_of(error),
                )
            pause = _retry.pause_before_retry(
                attempted, attempt, random.uniform(-1, 1)
            )
            if (
                pause is None
                or self._closed  # CANCELLED by close()
                or attempt >= max_attempts
                or time.monotonic() + pause >= deadline
            ):
                raise failure
            self._sleep(pause)
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Ends calls in progress with CANCELLED and refuses new ones."""
        with self._lock:
            self._closed = True
            channel, self._channel = self._channel, None
            self._methods.clear()
        if channel is not None and self._pid == os.getpid():
            channel.close()

    def _method(self, path: str) -> Any:
        with self._lock:
            if self._closed:
                raise ActivationError(
                    grpc.StatusCode.FAILED_PRECONDITION,
                    "the client is closed",
                )
            if self._channel is None:
                self._pid = os.getpid()
                self._channel = grpc.insecure_channel(
                    self._target, _options(self._target)
                )
            elif self._pid != os.getpid():
                raise ActivationError(
                    grpc.StatusCode.FAILED_PRECONDITION,
                    f"the client was in use in process {self._pid} when this "
                    f"one was forked from it; connect again here",
                )
            method = self._methods.get(path)
            if method is None:
                # No serializer: bytes in, bytes out.
                method = self._channel.unary_unary(path)
                self._methods[path] = method
            return method


def _options(target: str) -> list[tuple[str, int]]:
    options = [
        # The limit is the server's, and its error says it.
        ("grpc.max_send_message_length", -1),
        ("grpc.max_receive_message_length", -1),
        # A restarted server is found again within the pauses above; gRPC's
        # own first pause is 1 s, its longest 120 s.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 2000),
    ]
    if _address.is_loopback(target):
        options.append(("grpc.enable_http_proxy", 0))
    return options
