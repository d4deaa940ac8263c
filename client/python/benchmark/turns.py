"""Blocks of calls that alternate, here and in processes of their own."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

Call = Callable[[], Any]

# A call of 16 MiB by the slowest peer takes a second; a new process compiles.
_PATIENCE_SECONDS = 120.0
# Some send what nobody waits for: torch.distributed.rpc the end of a context,
# which it repeats, and fails to, if the answer is late.
_SETTLE_SECONDS = 0.05


def block_of(call: Call, block_seconds: float) -> Callable[[], float]:
    """Returns a block of about that long; it returns the seconds of a call."""
    return block_of_callers([call], block_seconds)


def block_of_callers(
    calls: Sequence[Call], block_seconds: float
) -> Callable[[], float]:
    """Returns a block in which all of them call at once, in threads.

    It returns its seconds by the number of calls that all made together. A call
    is always made in the same thread; that of one caller, in yours.
    """
    threads = [ThreadPoolExecutor(1) for _ in calls]

    def run(count: int) -> float:
        """Makes `count` calls of each."""
        # The threads are there before it begins.
        start = threading.Barrier(len(calls))
        begin = 0.0

        def repeat(call: Call) -> None:
            nonlocal begin
            start.wait()
            begin = time.perf_counter()
            for _ in range(count):
                call()

        if len(calls) == 1:
            repeat(calls[0])
        else:
            done = [
                thread.submit(repeat, call)
                for thread, call in zip(threads, calls, strict=True)
            ]
            for future in done:
                future.result()
        return time.perf_counter() - begin

    run(1)
    count = max(1, round(block_seconds / run(1)))
    return lambda: run(count) / (count * len(calls))


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
    from the turns of others. What it starts stands still with it.
    """

    def __init__(
        self,
        make: Callable[..., Any],
        *arguments: Any,
        python: str | Path = sys.executable,
        folder: Path | None = None,
    ):
        """Starts `make(*arguments)` in a new process.

        Args:
          make: A function of a module that the other Python can import. It
            serves until it is killed, or returns a function that takes what
            prepare() is given and returns a call.
          *arguments: Can be pickled.
          python: The Python that runs it.
          folder: Where it runs; None: where this process does.
        """
        self._pipe, child = multiprocessing.Pipe()
        package = sys.modules[make.__module__.partition(".")[0]]
        file = Path(str(package.__file__))
        path = file.parents[1] if file.stem == "__init__" else file.parent
        self._process = subprocess.Popen(
            [
                python,
                "-c",
                "import sys; sys.path[:1] = sys.argv[2:]; import turns; "
                "turns.work(int(sys.argv[1]))",
                str(child.fileno()),
                Path(__file__).parent,
                path,
            ],
            cwd=folder,
            pass_fds=[child.fileno()],
            # Servers tell what they do; a table goes there.
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        child.close()
        self._pipe.send((make, arguments))

    def prepare(
        self, *arguments: Any, block_seconds: float = 0.1, callers: int = 1
    ) -> Any:
        """Makes a call for these arguments; returns its result.

        Args:
          *arguments: For the function that `make` returned.
          block_seconds: About the length of a block.
          callers: So many threads call at once; each has a call of its own.

        Raises:
          RuntimeError: It failed, ended, or does not answer.
        """
        return self._ask((arguments, block_seconds, callers))

    def block(self) -> float:
        """Returns the seconds of a call, by a block of what was prepared."""
        seconds = self._ask(None)
        assert isinstance(seconds, float)
        return seconds

    def signal(self, number: int) -> None:
        """Sends a signal to it, and to what it started."""
        for pid in _with_descendants(self._process.pid):
            with contextlib.suppress(ProcessLookupError):  # It ended.
                os.kill(pid, number)

    def kill(self) -> None:
        """Ends it at once."""
        self.signal(signal.SIGKILL)
        self._process.wait()

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

    def prepare(
        self, *arguments: Any, block_seconds: float = 0.1, callers: int = 1
    ) -> Any:
        """As Process.prepare(), and stops the processes after it."""
        with self._awake():
            return self._client.prepare(
                *arguments, block_seconds=block_seconds, callers=callers
            )

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


def _with_descendants(pid: int) -> list[int]:
    """Returns a process, and those that it started, and so on.

    A group would not do: some start theirs in a session of its own.
    """
    result = [pid]
    for parent in result:
        for file in Path(f"/proc/{parent}/task").glob("*/children"):
            with contextlib.suppress(OSError):  # It ended.
                result += map(int, file.read_text().split())
    return result


class _Failure(str):
    """The traceback of an exception."""


def work(descriptor: int) -> None:
    """Runs in the new process, which is told by a pipe what to do."""
    pipe = multiprocessing.connection.Connection(descriptor)
    try:
        make, arguments = _take(pipe)
        call_of = make(*arguments)
    except Exception:
        failure = _Failure(traceback.format_exc())
        print(failure, file=sys.stderr)  # A server is never asked.
        while True:
            _take(pipe)
            pipe.send(failure)
    calls: Sequence[Call] = ()
    block: Callable[[], float] = lambda: 0.0  # noqa: E731
    while True:
        command = _take(pipe)
        try:
            if command is None:
                for call in calls:  # Wakes what stood still.
                    call()
                pipe.send(block())
            else:
                wanted, block_seconds, callers = command
                calls = [call_of(*wanted) for _ in range(callers)]
                result = calls[0]()
                block = block_of_callers(calls, block_seconds)
                pipe.send(result)
        except Exception:
            pipe.send(_Failure(traceback.format_exc()))


def _take(pipe: multiprocessing.connection.Connection) -> Any:
    """Returns a command; ends with the process that gives them."""
    try:
        return pipe.recv()
    except EOFError:
        raise SystemExit from None
