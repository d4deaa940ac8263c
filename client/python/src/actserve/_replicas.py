"""The servers that a client shares its calls over.

client/README.md has the rules, client/cpp has the same in replicas.h.
"""

from __future__ import annotations

import math
import os
import random
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc

from actserve import _address, _retry, _trace
from actserve._channel import Channel
from actserve._chooser import Attempt, Outcome, Standing, choose
from actserve._errors import (
    ActivationError,
    answered_by_server,
    error_from_rpc,
    pushback_of,
)
from actserve._resolver import (
    HostPort,
    LookUp,
    Resolver,
    look_up_by_system,
)
from actserve._security import PLAIN, ChannelSecurity

# The metadata by which a proxy can keep a client on one replica.
SESSION_KEY = "x-actserve-session"
# Protobuf's and gRPC's own bound on one message.
_MAX_MESSAGE_BYTES = 2**31 - 1


class Replica:
    """One server, with a channel of its own.

    Attributes:
      address: As gRPC takes it.
      is_unix: Whether that is a unix socket.
      channel: The connection.
      standing: Guarded by the lock of Replicas, as the channel is.
    """

    def __init__(
        self,
        address: str,
        authority: str | None = None,
        security: ChannelSecurity = PLAIN,
    ):
        self.address = address
        self.is_unix = _address.is_unix_socket(address)
        self.channel = Channel(address, authority, security)
        self.standing = Standing()


@dataclass
class Place:
    """Where a call goes first.

    Attributes:
      replica: The replica to ask first, or None; a call sets it to the one that
        answered last, with a response or an error. A Replica, or a number of
        the library.
    """

    replica: Any = None


class Replicas:
    """Sends each call to one replica, and again where that can help.

    Connects at the first call, so one made before a fork may be used after it;
    once it has been used, gRPC's threads exist in this process only, and calls
    from a forked one are refused instead of hanging. Thread-safe.
    """

    def __init__(
        self,
        address: str,
        max_attempts: int,
        sleep: Callable[[float], None] = time.sleep,
        look_up: LookUp = look_up_by_system,
        security: ChannelSecurity = PLAIN,
    ):
        self._security = security
        self._token = security.token
        self._max_attempts = max_attempts
        self._sleep = sleep
        # What the address lists: servers, and names of several as an index.
        self._parts: list[tuple[str, int | None]] = []
        names: list[HostPort] = []
        for part in _address.split(address):
            name = _own_name(part)
            self._parts.append((part, None if name is None else len(names)))
            if name is not None:
                names.append(name)
        self._resolver = Resolver(names, look_up) if names else None
        self._lock = threading.Lock()
        self._answers: tuple[tuple[str, ...] | None, ...] = (None,) * len(names)
        self._replicas: list[Replica] = []
        # Clients with one list begin at different replicas.
        self._turn = random.randrange(1 << 20)
        self._metadata: tuple[tuple[str, str], ...] = ()
        self._pid = 0
        self._closed = False
        self._update()

    def call(
        self,
        method: str,
        request: bytes,
        deadline: float,
        place: Place | None = None,
    ) -> bytes:
        """Returns the response of a method.

        Sends the request again by the rule of client/README.md. That is safe
        because every method of the contract may be repeated.

        Args:
          method: A path like "/package.Service/Name".
          request: The message.
          deadline: time.monotonic() at which to give up, retries included.
          place: Where it goes first; None: to any replica.

        Raises:
          ActivationError: The error of the server; UNAVAILABLE if none
            answered, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED if `request` is
            beyond 2 GiB, FAILED_PRECONDITION after close() or a fork.
        """
        if len(request) > _MAX_MESSAGE_BYTES:
            raise ActivationError(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"request of {len(request)} bytes, limit "
                f"{_MAX_MESSAGE_BYTES}; send the batch in parts",
            )
        if place is None:
            place = Place()
        preferred = place.replica
        tried: list[Replica] = []
        failure: ActivationError | None = None
        # The shortest that is due after this round.
        pause = math.inf
        round_ = 1
        while True:
            begun = self._begin(method, tried, preferred)
            if begun is None and not tried and self._resolver is not None:
                self._resolver.wait(deadline - time.monotonic())
                begun = self._begin(method, tried, preferred)
            if begun is not None:
                replica, attempt, send = begun
                if time.monotonic() >= deadline:
                    self._end(replica, attempt, Outcome.DROPPED, 0)
                    raise failure or ActivationError(
                        grpc.StatusCode.DEADLINE_EXCEEDED,
                        "the timeout passed before the call was sent",
                    )
                place.replica = replica
                try:
                    return self._send(replica, attempt, send, request, deadline)
                except _AttemptError as error:
                    failure = error.failure
                    next_pause = _retry.pause_before_retry(
                        error.attempted, round_, random.uniform(-1, 1)
                    )
                if next_pause is None or self._closed:
                    raise failure
                pause = min(pause, next_pause)
                tried.append(replica)
                continue
            if not tried:
                failure = self._name_error()
                pause = _retry.backoff(round_, random.uniform(-1, 1))
            assert failure is not None
            if (
                round_ >= self._max_attempts
                or time.monotonic() + pause >= deadline
            ):
                raise failure
            self._sleep(pause)
            round_ += 1
            tried.clear()
            pause = math.inf

    def call_once(
        self, method: str, request: bytes, deadline: float, replica: Replica
    ) -> bytes:
        """Returns what one attempt at `replica` does; raises as `call`."""
        begun = self._begin(method, (), replica)
        assert begun is not None
        _, attempt, send = begun
        try:
            return self._send(replica, attempt, send, request, deadline)
        except _AttemptError as error:
            raise error.failure from None

    def all(self, deadline: float) -> list[Replica]:
        """Returns all replicas; waits for their names.

        Raises:
          ActivationError: UNAVAILABLE, no name is resolved.
        """
        with self._lock:
            self._check_usable()
            self._refresh()
            may_wait = None in self._answers
        if may_wait and self._resolver is not None:
            self._resolver.wait(deadline - time.monotonic())
        with self._lock:
            self._refresh()
            if self._replicas:
                return list(self._replicas)
        raise self._name_error()

    def close(self) -> None:
        """Ends calls in progress with CANCELLED and refuses new ones."""
        with self._lock:
            self._closed = True
            replicas, self._replicas = self._replicas, []
        if self._pid == os.getpid():
            for replica in replicas:
                replica.channel.close()

    def _begin(
        self, method: str, tried: Sequence[Replica], preferred: Replica | None
    ) -> tuple[Replica, Attempt, Callable[..., bytes]] | None:
        """Returns a replica, the attempt in flight, and what makes it.

        None if all were tried.
        """
        with self._lock:
            self._check_usable()
            self._refresh()
            replica = preferred
            if replica is None or replica in tried:
                now = time.monotonic()
                index = choose(
                    [None if r in tried else r.standing for r in self._replicas]
                    if tried
                    else [r.standing for r in self._replicas],
                    now,
                    self._turn,
                )
                if index is None:
                    return None
                self._turn = index + 1
                replica = self._replicas[index]
            send = replica.channel.method(method)
            attempt = replica.standing.begin(time.monotonic())
            return replica, attempt, send

    def _check_usable(self) -> None:
        if self._closed:
            raise ActivationError(
                grpc.StatusCode.FAILED_PRECONDITION, "the client is closed"
            )
        if self._pid == 0:
            self._pid = os.getpid()
            # Of this process: one forked before has another.
            self._metadata = ((SESSION_KEY, secrets.token_hex(16)),)
        elif self._pid != os.getpid():
            raise forked(self._pid)

    def _send(
        self,
        replica: Replica,
        attempt: Attempt,
        send: Callable[..., bytes],
        request: bytes,
        deadline: float,
    ) -> bytes:
        """Makes an attempt and ends it."""
        outcome, pushback = Outcome.DROPPED, 0.0
        try:
            # A unix socket leads to one server.
            metadata = () if replica.is_unix else self._metadata
            response = self._send_with_token(
                send, request, deadline, metadata + _trace.headers()
            )
            outcome = Outcome.ANSWERED
            return response
        except grpc.RpcError as error:
            failure = error_from_rpc(error)
            attempted = _retry.FailedAttempt(
                failure.code,
                failure.message,
                answered_by_server(error),
                pushback_of(error),
            )
            if not self._closed:
                outcome = _retry.outcome_of(attempted)
            pushback = attempted.pushback or 0.0
            raise _AttemptError(failure, attempted) from None
        finally:
            self._end(replica, attempt, outcome, pushback)

    def _send_with_token(
        self,
        send: Callable[..., bytes],
        request: bytes,
        deadline: float,
        metadata: tuple[tuple[str, str], ...],
    ) -> bytes:
        """Sends a request, again if its token is refused and was replaced."""
        for token_is_new in (False, True):
            token = self._token.get()
            try:
                return send(
                    request,
                    timeout=max(deadline - time.monotonic(), 0),
                    metadata=metadata + _bearer(token),
                )
            except grpc.RpcError as error:
                if (
                    token_is_new
                    or error.code() is not grpc.StatusCode.UNAUTHENTICATED
                    or not self._token.refresh(token)
                ):
                    raise
        raise AssertionError("unreachable")

    def _end(
        self,
        replica: Replica,
        attempt: Attempt,
        outcome: Outcome,
        pushback: float,
    ) -> None:
        if outcome is Outcome.LOST and self._resolver is not None:
            self._resolver.fail()
        with self._lock:
            replica.standing.end(attempt, outcome, time.monotonic(), pushback)

    def _refresh(self) -> None:
        """Takes what the names stand for now."""
        if self._resolver is None:
            return
        current = self._resolver.current(time.monotonic())
        if current is not self._answers:
            self._answers = current
            self._update()

    def _update(self) -> None:
        """Makes the list of replicas; those known already stay."""
        known = {replica.address: replica for replica in self._replicas}
        replicas: dict[str, Replica] = {}
        for part, name in self._parts:
            if name is None:
                targets: Sequence[str] = (part,)
                authority = None
            else:
                targets = self._answers[name] or ()
                authority = part.removeprefix("dns:").lstrip("/")
            for target in targets:
                if target not in replicas:
                    replicas[target] = known.get(target) or Replica(
                        target, authority, self._security
                    )
        self._replicas = list(replicas.values())

    def _name_error(self) -> ActivationError:
        """Returns why there is no replica."""
        problem = self._resolver.problem() if self._resolver else None
        return ActivationError(
            grpc.StatusCode.UNAVAILABLE, problem or "no address is known yet"
        )


def forked(pid: int) -> ActivationError:
    """Returns why a client that process `pid` used refuses to work here."""
    return ActivationError(
        grpc.StatusCode.FAILED_PRECONDITION,
        f"the client was in use in process {pid} when this "
        f"one was forked from it; connect again here",
    )


class _AttemptError(Exception):
    """An attempt that failed."""

    def __init__(
        self, failure: ActivationError, attempted: _retry.FailedAttempt
    ):
        super().__init__(failure)
        self.failure = failure
        self.attempted = attempted


def _bearer(token: str | None) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),) if token else ()


def _own_name(part: str) -> HostPort | None:
    """Returns the name that the client looks up itself.

    gRPC asks a proxy for names, where the environment has one.
    """
    has_proxy = any(
        os.environ.get(variable)
        for variable in ("grpc_proxy", "https_proxy", "http_proxy")
    )
    if has_proxy and not _address.is_loopback(part):
        return None
    return _address.name_to_look_up(part)
