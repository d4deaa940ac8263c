"""Looks up the addresses behind names of hosts, again and again."""

from __future__ import annotations

import math
import socket
import threading
from collections.abc import Callable, Sequence

# The age at which an answer is asked for again; the second after a failure, of
# a replica or of a lookup.
PERIOD_SECONDS = 30.0
PERIOD_AFTER_FAILURE_SECONDS = 1.0

# A host's name, or its address without brackets, and a port.
HostPort = tuple[str, str]
# Returns the addresses of a host as targets of gRPC; raises OSError.
LookUp = Callable[[HostPort], Sequence[str]]


def look_up_by_system(name: HostPort) -> list[str]:
    """Returns the addresses of a host by getaddrinfo.

    Returns:
      Targets of gRPC in the order of the system, each once:
      "ipv4:10.0.0.1:50051", "ipv6:[::1]:50051".

    Raises:
      OSError: There is none, or nobody tells.
    """
    host, port = name
    targets: dict[str, None] = {}
    for family, _, _, _, address in socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM
    ):
        if family == socket.AF_INET:
            targets[f"ipv4:{address[0]}:{port}"] = None
        elif family == socket.AF_INET6:
            # A link-local address holds its interface behind a percent sign.
            literal = str(address[0]).replace("%", "%25")
            targets[f"ipv6:[{literal}]:{port}"] = None
    if not targets:
        raise OSError("it has no address")
    return list(targets)


class LookUpSchedule:
    """When names are looked up again. Not thread-safe."""

    def __init__(self) -> None:
        self.is_running = False
        self._begun = -math.inf
        self._has_failed = False

    def is_due(self, now: float) -> bool:
        """Returns whether a lookup should begin."""
        period = (
            PERIOD_AFTER_FAILURE_SECONDS if self._has_failed else PERIOD_SECONDS
        )
        return not self.is_running and now - self._begun >= period

    def begin(self, now: float) -> None:
        """Notes that a lookup begins."""
        self._begun = now
        self.is_running = True
        self._has_failed = False

    def end(self, ok: bool) -> None:
        """Notes that it ended."""
        self.is_running = False
        self._has_failed |= not ok

    def fail(self) -> None:
        """Notes that a replica did not answer: it may have moved."""
        self._has_failed = True


class Resolver:
    """Knows the addresses of several names.

    A lookup runs on a thread of its own, which may outlive this object.
    Thread-safe.
    """

    def __init__(
        self, names: Sequence[HostPort], look_up: LookUp = look_up_by_system
    ):
        self._names = tuple(names)
        self._look_up = look_up
        self._changed = threading.Condition()
        self._schedule = LookUpSchedule()
        self._answers: tuple[tuple[str, ...] | None, ...] = (None,) * len(names)
        self._problem: str | None = None

    def current(self, now: float) -> tuple[tuple[str, ...] | None, ...]:
        """Returns the last answers; begins a lookup if due, waits for none.

        Returns:
          One for each name; None until it was found for the first time. A
          lookup that fails leaves the answer before it.
        """
        with self._changed:
            if self._names and self._schedule.is_due(now):
                self._schedule.begin(now)
                threading.Thread(
                    target=self._run, name="actserve-names", daemon=True
                ).start()
            return self._answers

    def problem(self) -> str | None:
        """Returns how the last lookup of a name without an answer failed."""
        with self._changed:
            return self._problem

    def wait(self, timeout: float) -> None:
        """Waits for the end of a lookup that runs now."""
        with self._changed:
            self._changed.wait_for(
                lambda: not self._schedule.is_running,
                min(timeout, threading.TIMEOUT_MAX),
            )

    def fail(self) -> None:
        """Notes that a replica did not answer."""
        with self._changed:
            self._schedule.fail()

    def _run(self) -> None:
        answers: list[tuple[str, ...] | None] = []
        problem = None
        ok = True
        for name, before in zip(self._names, self._answers, strict=True):
            answer = before
            try:
                answer = tuple(self._look_up(name))
            # Anything: nobody would end the wait otherwise. A UnicodeError is
            # what getaddrinfo says of a name that cannot be one.
            except Exception as error:
                ok = False
                if before is None:
                    reason = getattr(error, "strerror", None) or error
                    problem = f"name '{name[0]}' is not resolved: {reason}"
            answers.append(answer)
        with self._changed:
            self._answers = tuple(answers)
            self._problem = problem
            self._schedule.end(ok)
            self._changed.notify_all()
