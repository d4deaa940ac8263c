"""Blocks of calls that alternate, here and in processes of their own."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import statistics
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

Call = Callable[[], Any]

# A call of 16 MiB by the slowest peer takes a second; a new process compiles.
_PATIENCE_SECONDS = 120.0
# Some send what nobody waits for: torch.distributed.rpc the end of a context,
# which it repeats, and fails to, if the answer is late.
_SETTLE_SECONDS = 0.05


def block_of(call: Call, block_seconds: float) -> Callable[[], float]:
    """Returns a block of about that long; it returns the seconds of a call."""
    call()
    begin = time.perf_counter()
    call()
    count = max(1, round(block_seconds / (time.perf_counter() - begin)))

    def block() -> float:
        begin = time.perf_counter()
        for _ in range(count):
            call()
        return (time.perf_counter() - begin) / count

    return block


def alternate(
    blocks: Mapping[str, Callable[[], float]], rounds: int
) -> dict[str, list[float]]:
    """Returns the seconds of a call by name and round.

    Each round begins with another one, so that none has always the same
    neighbor.
    """
    names = list(blocks)
    times: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            times[name].append(blocks[name]())
    return times


def ratio(above: Sequence[float], below: Sequence[float]) -> tuple[float, str]:
    """Returns the median ratio of a round, and it with its middle half."""
    ratios = [a / b for a, b in zip(above, below, strict=True)]
    low, median, high = statistics.quantiles(ratios, n=4)
    return median, f"{median:.2f} ({low:.2f}-{high:.2f})"


class Process:
    """A process that makes calls in its turns, and stands still between them.

    A process that polls, as those of torch.distributed.rpc do, would take time
    from the turns of others.
    """

    def __init__(self, make: Callable[..., Any], *arguments: Any):
        """Starts `make(*arguments)` in a new process.

        Args:
          make: A function of a module. It serves until it is killed, or returns
            a function that takes what prepare() is given and returns a call.
          *arguments: Can be pickled.
        """
        context = multiprocessing.get_context("spawn")
        self._pipe, child = context.Pipe()
        self._process = context.Process(
            target=_work, args=(child, make, arguments), daemon=True
        )
        self._process.start()
        child.close()

    def prepare(self, *arguments: Any, block_seconds: float = 0.1) -> Any:
        """Makes a call for these arguments; returns its result.

        Raises:
          RuntimeError: It failed, ended, or does not answer.
        """
        return self._ask((arguments, block_seconds))

    def block(self) -> float:
        """Returns the seconds of a call, by a block of what was prepared."""
        seconds = self._ask(None)
        assert isinstance(seconds, float)
        return seconds

    def signal(self, number: int) -> None:
        """Sends a signal."""
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        """Ends it at once."""
        self._process.kill()
        self._process.join()

    def _ask(self, command: Any) -> Any:
        try:
            self._pipe.send(command)
            if not self._pipe.poll(_PATIENCE_SECONDS):
                raise RuntimeError(f"no answer in {_PATIENCE_SECONDS:.0f} s")
            answer = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise RuntimeError("the process ended") from error
        if isinstance(answer, _Failure):
            raise RuntimeError(f"in the process:\n{answer}")
        return answer


class Player:
    """A client process, and the processes that it needs beside it."""

    def __init__(self, client: Process, *servers: Process):
        """Takes processes that run, and lets them stand still."""
        self._client = client
        self._all = (client, *servers)

    def prepare(self, *arguments: Any, block_seconds: float = 0.1) -> Any:
        """As Process.prepare(), and stops the processes after it."""
        with self._awake():
            return self._client.prepare(*arguments, block_seconds=block_seconds)

    def block(self) -> float:
        """As Process.block(), and stops the processes after it."""
        with self._awake():
            return self._client.block()

    def kill(self) -> None:
        """Ends all its processes."""
        for process in self._all:
            process.kill()

    @contextlib.contextmanager
    def _awake(self) -> Iterator[None]:
        for process in self._all:
            process.signal(signal.SIGCONT)
        try:
            yield
        finally:
            time.sleep(_SETTLE_SECONDS)
            for process in self._all:
                process.signal(signal.SIGSTOP)


class _Failure(str):
    """The traceback of an exception."""


def _work(
    pipe: multiprocessing.connection.Connection,
    make: Callable[..., Any],
    arguments: Sequence[Any],
) -> None:
    """Runs in the new process."""
    try:
        call_of = make(*arguments)
    except Exception:
        failure = _Failure(traceback.format_exc())
        while True:
            _take(pipe)
            pipe.send(failure)
    call: Call = lambda: None  # noqa: E731
    block: Callable[[], float] = lambda: 0.0  # noqa: E731
    while True:
        command = _take(pipe)
        try:
            if command is None:
                call()  # Wakes what stood still.
                pipe.send(block())
            else:
                wanted, block_seconds = command
                call = call_of(*wanted)
                result = call()
                block = block_of(call, block_seconds)
                pipe.send(result)
        except Exception:
            pipe.send(_Failure(traceback.format_exc()))


def _take(pipe: multiprocessing.connection.Connection) -> Any:
    """Returns a command; ends with the process that gives them."""
    try:
        return pipe.recv()
    except EOFError:
        raise SystemExit from None
