"""Compares a training step at a server with those of PyTorch and TensorFlow.

usage: python client/python/benchmark/training_peers.py [--rounds=N] [BUILD]

Forward and backward of silu on float32: by actserve, over TCP and shared
memory; by torch.distributed.rpc with distributed autograd, over both; and on a
remote device of TensorFlow, by a tape and by one function. Every server and
every client is a process of its own; blocks of calls alternate, and all others
stand still meanwhile. Each computes on one thread, as threads that wait for one
another measure the load of the machine. Prints a Markdown table, with the ratio
of a peer's time to ours in the same round. Checks every result against float64.
Needs PyTorch and TensorFlow (scripts/setup --frameworks). BUILD is the build
folder.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from peers import ours, tensorflow_remote, torch_rpc
from peers.waiting import free_port
from turns import Player, Process, alternate, ratio

from actserve.testing import ServerProcess

SIZES = {"1 KiB": 1 << 10, "64 KiB": 64 << 10, "1 MiB": 1 << 20}
SIZES["16 MiB"] = 16 << 20
OURS = {
    "actserve.torch, TCP": ("tcp", ours.torch),
    "Client, TCP": ("tcp", ours.client),
    "actserve.torch, shared memory": ("unix", ours.torch),
    "Client, shared memory": ("unix", ours.client),
}
RPC = {
    "torch RPC, TCP": torch_rpc.TCP,
    "torch RPC, shared memory": torch_rpc.SHARED_MEMORY,
}
TENSORFLOW = {
    "TensorFlow, tape": tensorflow_remote.by_tape,
    "TensorFlow, function": tensorflow_remote.by_function,
}
PEERS = [*RPC, *TENSORFLOW]
TOLERANCE = 1e-5
# Of NumPy and PyTorch, and of TensorFlow.
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
}


def goal(name: str, peer: str, size: int) -> float:
    """Returns the least ratio that is wanted; 0: none is."""
    if name.endswith("shared memory"):
        return 0 if peer == "torch RPC, TCP" else 3
    if peer == "torch RPC, shared memory":
        return 0
    return 2 if size <= 64 << 10 else 1


@contextlib.contextmanager
def players(build: Path) -> Iterator[dict[str, Player]]:
    """Starts all of them, one after the other."""
    os.environ.setdefault(
        "ACTSERVE_LIBRARY", str(build / "lib" / "libactserve.so.1")
    )
    os.environ |= ONE_THREAD
    with contextlib.ExitStack() as stack:
        result = {}
        small = arrays(1 << 10)

        def add(name: str, client: Process, *servers: Process) -> None:
            result[name] = Player(client, *servers)
            stack.callback(result[name].kill)
            # It stands still from here on.
            result[name].prepare(*small)

        server = stack.enter_context(
            ServerProcess(build / "bin/actserved", "--device_threads=1")
        )
        address = {"tcp": server.address, "unix": server.unix_address}
        for name, (kind, make) in OURS.items():
            add(name, Process(make, address[kind]))
        for name, options in RPC.items():
            port = free_port()
            peer = Process(torch_rpc.serve, port, options)
            add(name, Process(torch_rpc.client, port, options), peer)
        for name, step in TENSORFLOW.items():
            port = free_port()
            peer = Process(tensorflow_remote.serve, port)
            add(name, Process(step, port), peer)
        yield result


def arrays(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns x and dL/dy of that many bytes."""
    random = np.random.default_rng(size)
    x, dy = random.standard_normal((2, size // 4), np.float32)
    return x, dy


def check(
    name: str, x: np.ndarray, dy: np.ndarray, found: Sequence[np.ndarray]
) -> None:
    """Ends the program if a result is wrong."""
    wide = x.astype(np.float64)
    sigmoid = 1 / (1 + np.exp(-wide))
    wanted = wide * sigmoid, dy * sigmoid * (1 + wide * (1 - sigmoid))
    for array, exact in zip(found, wanted, strict=False):
        error = np.abs(array - exact).max()
        if not error < TOLERANCE:
            raise SystemExit(f"{name}: wrong by {error}, over {TOLERANCE}")


def main() -> None:
    """Measures and prints."""
    root = Path(__file__).resolve().parents[3]
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument(
        "build", type=Path, nargs="?", default=root / "build/release"
    )
    options = parser.parse_args()
    print("| step | way | us |", " | ".join(PEERS), "|")
    print("|---|---|---|" + "---|" * len(PEERS))
    with players(options.build) as all_players:
        for text, size in SIZES.items():
            given = arrays(size)
            for name, player in all_players.items():
                check(name, *given, player.prepare(*given))
            times = alternate(
                {name: p.block for name, p in all_players.items()},
                options.rounds,
            )
            for name in OURS:
                cells = []
                for peer in PEERS:
                    median, cell = ratio(times[peer], times[name])
                    missed = median < goal(name, peer, size)
                    cells.append(f"**{cell}**" if missed else cell)
                us = statistics.median(times[name]) * 1e6
                print(
                    f"| {text} | {name} | {us:.0f} |",
                    " | ".join(cells),
                    "|",
                    flush=True,
                )


if __name__ == "__main__":
    main()
