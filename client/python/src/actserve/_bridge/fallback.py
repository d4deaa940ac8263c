"""Computes here while a server is away.

Thread-safe.
"""

from __future__ import annotations

import collections
import dataclasses
import logging
import threading
import time
import weakref
from collections.abc import Callable
from typing import TypeVar

import grpc

from actserve._bridge import clients
from actserve._client import Client
from actserve._errors import ActivationError

_log = logging.getLogger("actserve")

_AWAY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
# A server that is away is asked again after the first pause, and then after
# pauses that double up to the longest. Nobody waits for the answer.
_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 4.0
_PROBE_SECONDS = 5.0

_T = TypeVar("_T")


@dataclasses.dataclass
class _Outage:
    """A server that did not answer; next_probe is of time.monotonic()."""

    pause: float
    next_probe: float
    is_asked: bool = False


_lock = threading.Lock()
_outages: weakref.WeakKeyDictionary[Client, _Outage] = (
    weakref.WeakKeyDictionary()
)
_counts: collections.Counter[str] = collections.Counter()


def fallback_counts() -> dict[str, int]:
    """Returns how many calls were computed here instead of at a server.

    By address of the server, since this process began.
    """
    with _lock:
        return dict(_counts)


def run(
    client: Client,
    call: Callable[[Client], _T],
    instead: Callable[[], _T] | None,
) -> _T:
    """Returns what `call` does with `client`, or here while it is away.

    Args:
      client: Of the server.
      call: Also with the client that computes here, if the library is here.
      instead: What to do without the library; None: nothing can be done.

    Raises: what `call` raises; of a server that is away too, if nothing can be
      done here.
    """
    failure: ActivationError | None = None
    if not _is_away(client):
        try:
            return call(client)
        except ActivationError as error:
            if error.code not in _AWAY:
                raise
            failure = error
    # Only now, as it looks for a file.
    here = clients.local()
    if here is None and instead is None:
        if failure is not None:
            raise failure
        return call(client)
    if failure is not None:
        _begin(client, failure, "NumPy" if here is None else "the library")
    with _lock:
        _counts[client.address] += 1
    if here is not None:
        return call(here)
    assert instead is not None
    return instead()


def _is_away(client: Client) -> bool:
    """Returns whether an outage goes on; has the server asked now and then."""
    with _lock:
        outage = _outages.get(client)
        if outage is None:
            return False
        if not outage.is_asked and time.monotonic() >= outage.next_probe:
            outage.is_asked = True
            threading.Thread(
                target=_ask, args=(client, outage), daemon=True
            ).start()
        return True


def _ask(client: Client, outage: _Outage) -> None:
    try:
        is_back = client.health(timeout=_PROBE_SECONDS)
    except ActivationError:
        is_back = False
    with _lock:
        outage.is_asked = False
        outage.pause = min(2 * outage.pause, _LONGEST_PAUSE_SECONDS)
        outage.next_probe = time.monotonic() + outage.pause
        if is_back:
            _outages.pop(client, None)
    if is_back:
        _log.warning("%s answers again", client.address)


def _begin(client: Client, error: ActivationError, means: str) -> None:
    with _lock:
        is_new = client not in _outages
        _outages[client] = _Outage(
            _FIRST_PAUSE_SECONDS, time.monotonic() + _FIRST_PAUSE_SECONDS
        )
    if is_new:
        _log.warning(
            "%s does not answer (%s): computing in this process, by %s, until "
            "it does",
            client.address,
            error,
            means,
        )
