"""Decides when a call is sent again. client/README.md states the rule.

The numbers are those of client/cpp/retry.h; a test compares them.
"""

from __future__ import annotations

import grpc

MAX_ATTEMPTS = 7
FIRST_BACKOFF_SECONDS = 0.1
MAX_BACKOFF_SECONDS = 2.0
BACKOFF_JITTER = 0.25


def pause_before_retry(
    code: grpc.StatusCode,
    pushback: float | None,
    attempt: int,
    chance: float,
) -> float | None:
    """Returns the seconds before the call is sent again, or None: do not send.

    Args:
      code: The error of the attempt.
      pushback: The seconds that the server asked for, if it did.
      attempt: The number of the failed attempt, from 1.
      chance: A random number from [-1, 1].
    """
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        # A full queue names a pause. A limit does not: no pause would help.
        return pushback
    if code is not grpc.StatusCode.UNAVAILABLE:
        return None
    if pushback is not None:
        return pushback
    doublings = min(attempt - 1, 30)
    backoff = min(FIRST_BACKOFF_SECONDS * 2.0**doublings, MAX_BACKOFF_SECONDS)
    return backoff * (1 + BACKOFF_JITTER * chance)
