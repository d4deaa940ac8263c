"""Calls that wait for servers at the same time."""

from __future__ import annotations

import contextvars
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

_T = TypeVar("_T")

# They wait most of the time: the calls do not hold the GIL.
_MAX_THREADS = 32
_pool: ThreadPoolExecutor | None = None


def submit(
    function: Callable[..., _T], *args: Any, **options: Any
) -> Future[_T]:
    """Calls `function` on a thread of this process that is kept for that.

    It has the context of the caller, such as a trace.
    """
    global _pool
    if _pool is None:
        _pool = ThreadPoolExecutor(_MAX_THREADS, "actserve")
    run = contextvars.copy_context().run
    return _pool.submit(run, function, *args, **options)


def run_all(functions: Sequence[Callable[[], _T]]) -> list[_T]:
    """Returns the results of all functions, which run at the same time.

    The last one runs on this thread. If some raise, then the first of them in
    order, once all have ended.
    """
    if not functions:
        return []
    futures = [submit(function) for function in functions[:-1]]
    last: Future[_T] = Future()
    try:
        last.set_result(functions[-1]())
    except Exception as error:
        last.set_exception(error)
    finally:
        wait(futures)
    return [future.result() for future in (*futures, last)]


def _forget() -> None:
    global _pool
    _pool = None  # Its threads are those of the parent.


os.register_at_fork(after_in_child=_forget)
