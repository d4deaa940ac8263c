"""Chooses the replica for an attempt: the one with the fewest in flight.

One that did not answer is set aside for a while, and tried again by one attempt
after it. client/README.md states the rule, client/cpp has the same in
balance/chooser.h, and client/testdata/choices.json holds both to one table.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

# For how long a replica that did not answer is set aside; twice as long after
# each further time, up to the maximum.
FIRST_SET_ASIDE_SECONDS = 0.1
MAX_SET_ASIDE_SECONDS = 10.0
# The most of a pause asked for by a full replica that it is set aside for.
MAX_FULL_SET_ASIDE_SECONDS = 2.0


class Outcome(Enum):
    """How an attempt ended."""

    # The replica answered, with a result or an error.
    ANSWERED = "answered"
    # It did not: UNAVAILABLE, or the call was lost.
    LOST = "lost"
    # It asked for a pause.
    FULL = "full"
    # The caller ended the call. Says nothing about the replica.
    DROPPED = "dropped"


@dataclass(frozen=True)
class Attempt:
    """An attempt in flight.

    Attributes:
      begun: When it began.
      is_trial: Whether it finds out if the replica answers again.
    """

    begun: float
    is_trial: bool


class Standing:
    """What a client knows of one replica. Not thread-safe.

    Attributes:
      num_in_flight: Attempts that have begun and not ended.
      set_aside_at: When it was set aside last.
    """

    def __init__(self) -> None:
        self.num_in_flight = 0
        self.set_aside_at = -math.inf
        self._set_aside_until = -math.inf
        # The last pause; 0 for a replica that answers.
        self._pause = 0.0
        self._on_trial = False

    def begin(self, now: float) -> Attempt:
        """Returns an attempt, now in flight."""
        self.num_in_flight += 1
        attempt = Attempt(now, self._pause > 0 and not self._on_trial)
        self._on_trial |= attempt.is_trial
        return attempt

    def end(
        self,
        attempt: Attempt,
        outcome: Outcome,
        now: float,
        pushback: float = 0.0,
    ) -> None:
        """Ends an attempt.

        One that began before the replica was set aside does not set it aside
        for longer, and does not bring it back.

        Args:
          attempt: The attempt.
          outcome: How it ended.
          now: The time.
          pushback: The pause that a full replica asked for.
        """
        self.num_in_flight -= 1
        if attempt.is_trial:
            self._on_trial = False
        if outcome is Outcome.DROPPED or attempt.begun < self.set_aside_at:
            return
        if outcome is Outcome.ANSWERED:
            self._pause = 0.0
            self._set_aside_until = -math.inf
        elif outcome is Outcome.FULL:
            self._pause = 0.0
            self._set_aside(now, min(pushback, MAX_FULL_SET_ASIDE_SECONDS))
        else:
            self._pause = min(
                max(2 * self._pause, FIRST_SET_ASIDE_SECONDS),
                MAX_SET_ASIDE_SECONDS,
            )
            self._set_aside(now, self._pause)

    def is_available(self, now: float) -> bool:
        """Returns False while set aside, then while a trial is in flight."""
        return now >= self._set_aside_until and not self._on_trial

    def _set_aside(self, now: float, pause: float) -> None:
        self.set_aside_at = now
        self._set_aside_until = now + pause


def choose(
    standings: Sequence[Standing | None], now: float, turn: int
) -> int | None:
    """Returns the index of the replica to try.

    Of those available, one with the fewest attempts in flight; if none is, the
    one set aside the longest ago. None if all are None.

    Args:
      standings: Of the replicas; None for those not to be chosen.
      now: The time.
      turn: Of equal ones, the first from here on is chosen: the index behind
        the result of the last call, or any number at first.
    """
    best: int | None = None
    best_key = (math.inf, math.inf)
    for i in range(len(standings)):
        index = (turn + i) % len(standings)
        standing = standings[index]
        if standing is None:
            continue
        key = (
            (0.0, float(standing.num_in_flight))
            if standing.is_available(now)
            else (1.0, standing.set_aside_at)
        )
        if best is None or key < best_key:
            best, best_key = index, key
    return best
