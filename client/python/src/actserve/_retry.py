"""Decides when a call is sent again. client/README.md states the rule.

The numbers are those of client/cpp/retry.h; a test compares them.
"""

from __future__ import annotations

from dataclasses import dataclass

import grpc

from actserve._chooser import Outcome

# Rounds of attempts of one call; a round asks each replica once.
MAX_ATTEMPTS = 7
FIRST_BACKOFF_SECONDS = 0.1
MAX_BACKOFF_SECONDS = 2.0
BACKOFF_JITTER = 0.25

# What gRPC or a proxy reports where the server answered nothing.
_NOBODY_ANSWERED = (
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.INTERNAL,
)

# Limits on sizes: gRPC's own, here or at the server, and those of a proxy
# (HTTP's 413 and 431). None sets a trailer, and no pause cures them; only the
# text tells.
_TOO_LARGE = (
    "message larger than max",
    "metadata size exceeds",
    "header with status: 413",
    "header with status: 431",
)


@dataclass(frozen=True)
class FailedAttempt:
    """What the client knows of an attempt that failed.

    Attributes:
      code: Its code.
      message: Its message.
      answered: Whether the error is the server's own: it has the trailer
        `actserve-answered`. Otherwise gRPC or a proxy reports it.
      pushback: The seconds that the server asked for, if it did.
    """

    code: grpc.StatusCode
    message: str = ""
    answered: bool = False
    pushback: float | None = None


def pause_before_retry(
    failed: FailedAttempt, round_: int, chance: float
) -> float | None:
    """Returns the seconds before the same replica is sent the call again.

    None: do not send it again.

    The caller tells a CANCELLED of its own from others.

    Args:
      failed: The attempt.
      round_: The number of its round, from 1.
      chance: A random number from [-1, 1].
    """
    if not _may_help(failed):
        return None
    if failed.pushback is not None:
        return failed.pushback
    return backoff(round_, chance)


def backoff(round_: int, chance: float) -> float:
    """Returns the pause after a round where nobody names one."""
    doublings = min(round_ - 1, 30)
    pause = min(FIRST_BACKOFF_SECONDS * 2.0**doublings, MAX_BACKOFF_SECONDS)
    return pause * (1 + BACKOFF_JITTER * chance)


def outcome_of(failed: FailedAttempt) -> Outcome:
    """Returns what the failure tells of the replica.

    The caller tells a CANCELLED of its own from others.
    """
    if not _may_help(failed):
        timed_out = failed.code is grpc.StatusCode.DEADLINE_EXCEEDED
        if timed_out and not failed.answered:
            return Outcome.LOST
        return Outcome.ANSWERED
    if (
        failed.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        and failed.pushback is not None
    ):
        return Outcome.FULL
    return Outcome.LOST


def _may_help(failed: FailedAttempt) -> bool:
    """Returns whether the call may succeed if it is sent again."""
    code = failed.code
    too_large = any(text in failed.message for text in _TOO_LARGE)
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        # A full queue comes with a pushback; a limit without.
        return failed.pushback is not None or not (failed.answered or too_large)
    if code in _NOBODY_ANSWERED:
        return not failed.answered and not too_large
    return code is grpc.StatusCode.UNAVAILABLE
