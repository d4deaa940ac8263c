"""Compares calls from Python with those of other servers, and of echoes.

usage: python client/python/benchmark/server_peers.py [--rounds=N]
    [--sizes=KIB,...] [--callers=N,...] [--only=PEER,...] [PEERS [BUILD]]

silu on float32, forward, and forward with its gradient: x, or x and dL/dy, go
in as arrays of the caller, and y, or y and dL/dx, come out. Every server and
every client is a process of its own; blocks of calls alternate, and all others
but Triton's server stand still meanwhile. Prints Markdown tables, with the
ratio of a peer's time to ours in the same round. Checks every result against
float64, except those of echoes. PEERS is the folder of scripts/setup --peers,
which installs PyTorch and TensorFlow too. BUILD is the build folder.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import statistics
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from peers import (
    arrow_flight,
    grpcio,
    hivemind_peer,
    ours,
    pytensor,
    seldon,
    tensorflow_remote,
    tesseract_peer,
    torch_rpc,
    triton,
)
from peers.waiting import free_port
from training_peers import ONE_THREAD, arrays, check
from turns import Player, Process, alternate, ratio

from actserve.testing import ServerProcess

OURS = ["Client, TCP", "Client, shared memory"]


@dataclasses.dataclass(frozen=True)
class Start:
    """What starting a server and its client takes."""

    environments: Path
    folder: Path  # where they run, and to write to
    gradient: bool
    sizes: list[int]

    def process(self, environment: str, make: Any, *arguments: Any) -> Process:
        """Starts one in an environment of scripts/setup --peers."""
        python = self.environments / environment / "bin" / "python"
        return Process(make, *arguments, python=python, folder=self.folder)


@dataclasses.dataclass(frozen=True)
class Peer:
    """A server that is compared."""

    name: str
    start: Callable[[Start], tuple[Process, Process]]
    # The least ratio that is wanted of our client, by OURS; 0: none.
    goals: tuple[float, float]
    # Its version, and how it is set up.
    settings: str
    computes: bool = True
    # False: its server is in peace when idle, and ends if it is stopped.
    stands_still: bool = True


def _in(
    environment: str, module: Any, *more: Callable[[Start], Any]
) -> Callable[[Start], tuple[Process, Process]]:
    """Returns how a peer with serve(port) and client(port, gradient) starts.

    Args:
      environment: Its folder of scripts/setup --peers.
      module: Of `peers`.
      *more: Give what serve() takes beside the port.
    """

    def start(by: Start) -> tuple[Process, Process]:
        port = free_port()
        arguments = (give(by) for give in more)
        return (
            by.process(environment, module.serve, port, *arguments),
            by.process(environment, module.client, port, by.gradient),
        )

    return start


def _http_port(_: Start) -> int:
    return free_port()


def _home(by: Start) -> str:
    return str(by.folder / "home")


def _hivemind(by: Start) -> tuple[Process, Process]:
    file = str(by.folder / f"address{free_port()}")
    return (
        by.process("hivemind", hivemind_peer.serve, by.sizes, file),
        by.process("hivemind", hivemind_peer.client, file, by.gradient),
    )


def _torch(options: dict[str, Any]) -> Any:
    def start(by: Start) -> tuple[Process, Process]:
        port = free_port()
        return (
            Process(torch_rpc.serve, port, options),
            Process(torch_rpc.client, port, options, by.gradient),
        )

    return start


def _tensorflow(by: Start) -> tuple[Process, Process]:
    port = free_port()
    way = (
        tensorflow_remote.by_tape if by.gradient else tensorflow_remote.forward
    )
    return Process(tensorflow_remote.serve, port), Process(way, port)


PEERS = [
    Peer(
        "Triton",
        _in("pytriton", triton, _http_port, _home),
        (3, 3),
        "PyTriton 0.7, batching off, NumPy; tritonclient over gRPC",
        stands_still=False,
    ),
    Peer(
        "MLServer",
        _in("mlserver", seldon, _http_port),
        (3, 3),
        "1.7, no parallel workers, NumPy; an array is one BYTES element, "
        "as FP32 becomes a list of Python's numbers",
    ),
    Peer(
        "hivemind",
        _hivemind,
        (3, 3),
        "1.1, an expert of PyTorch, one connection handler, no relay, no NAT; "
        "the gradient is that of PyTorch",
    ),
    Peer(
        "TensorFlow",
        _tensorflow,
        (0, 0),
        "2.21, a remote device; the gradient by a tape",
    ),
    Peer(
        "torch RPC, TCP",
        _torch(torch_rpc.TCP),
        (0, 0),
        "2.14, TensorPipe by `uv` and `basic`; distributed autograd",
    ),
    Peer(
        "torch RPC, shared memory",
        _torch(torch_rpc.SHARED_MEMORY),
        (0, 2),
        "2.14, TensorPipe's own choice; distributed autograd",
    ),
    Peer(
        "Tesseract",
        _in("tesseract", tesseract_peer),
        (3, 3),
        "tesseract-core 1.15 over HTTP, NumPy; "
        "`apply`, then `vector_jacobian_product`",
    ),
    Peer(
        "pytensor-federated",
        _in("pytensor", pytensor),
        (3, 3),
        "1.0, NumPy, a stream for each caller",
    ),
    Peer(
        "Arrow Flight",
        _in("flight", arrow_flight),
        (1.5, 1.5),
        "pyarrow 26, NumPy, a stream for each caller",
    ),
    Peer(
        "grpcio echo",
        _in("flight", grpcio),
        (1.5, 1.5),
        "1.85, as many bytes back as went in, nothing computed",
        computes=False,
    ),
]


@contextlib.contextmanager
def players(
    build: Path, by: Start, chosen: list[Peer]
) -> Iterator[dict[str, Player]]:
    """Starts all of them, one after the other."""
    os.environ.setdefault(
        "ACTSERVE_LIBRARY", str(build / "lib" / "libactserve.so.1")
    )
    os.environ |= ONE_THREAD
    with contextlib.ExitStack() as stack:
        result = {}

        def add(name: str, client: Process, *servers: Process) -> None:
            result[name] = Player(client, *servers)
            stack.callback(result[name].kill)
            # It stands still from here on.
            result[name].prepare(*arrays(by.sizes[0]))

        actserved = stack.enter_context(
            ServerProcess(build / "bin/actserved", "--device_threads=1")
        )
        addresses = (actserved.address, actserved.unix_address)
        for name, address in zip(OURS, addresses, strict=True):
            add(name, Process(ours.client, address, by.gradient))
        for peer in chosen:
            for is_last in (False, False, True):
                server, client = peer.start(by)
                try:
                    if peer.stands_still:
                        add(peer.name, client, server)
                    else:
                        stack.callback(server.kill)
                        add(peer.name, client)
                    break
                except RuntimeError:  # hivemind forks among threads, and hangs.
                    if is_last:
                        raise
        yield result


def measure(
    all_players: dict[str, Player],
    chosen: list[Peer],
    size: int,
    callers: int,
    rounds: int,
) -> None:
    """Prints the rows of one size and number of callers."""
    x, dy = arrays(size)
    computes = {peer.name: peer.computes for peer in chosen}
    for name, player in all_players.items():
        found = player.prepare(x, dy, callers=callers)
        if computes.get(name, True):
            check(name, x, dy, found)
    times = alternate({n: p.block for n, p in all_players.items()}, rounds)
    for i, name in enumerate(OURS):
        cells = []
        for peer in chosen:
            median, cell = ratio(times[peer.name], times[name])
            cells.append(f"**{cell}**" if median < peer.goals[i] else cell)
        us = statistics.median(times[name]) * 1e6
        row = [f"{size >> 10} KiB", str(callers), name, f"{us:.0f}", *cells]
        print("|", " | ".join(row), "|", flush=True)


def main() -> None:
    """Measures and prints."""
    root = Path(__file__).resolve().parents[3]

    def numbers(text: str) -> list[int]:
        return [int(part) for part in text.split(",")]

    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--sizes", type=numbers, default=[4, 64, 1024, 16384])
    parser.add_argument("--callers", type=numbers, default=[1, 8])
    parser.add_argument("--only", type=lambda text: text.split(","))
    parser.add_argument(
        "peers",
        type=Path,
        nargs="?",
        default=Path.home() / ".cache/actserve/peers",
    )
    parser.add_argument(
        "build", type=Path, nargs="?", default=root / "build/release"
    )
    options = parser.parse_args()
    chosen = [p for p in PEERS if not options.only or p.name in options.only]
    names = " | ".join(peer.name for peer in chosen)
    sizes = [kib << 10 for kib in options.sizes]
    print("| peer | how it is set up |\n|---|---|")
    for peer in chosen:
        print(f"| {peer.name} | {peer.settings} |")
    for gradient in (False, True):
        print(f"\n{'With the gradient' if gradient else 'Forward'}:\n")
        print(f"| bytes | callers | way | us | {names} |")
        print("|---|---|---|---|" + "---|" * len(chosen))
        with (
            tempfile.TemporaryDirectory() as folder,
            players(
                options.build,
                Start(options.peers, Path(folder), gradient, sizes),
                chosen,
            ) as all_players,
        ):
            for size in sizes:
                for callers in options.callers:
                    measure(all_players, chosen, size, callers, options.rounds)


if __name__ == "__main__":
    main()
