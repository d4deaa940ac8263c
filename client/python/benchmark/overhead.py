"""Compares a small call from Python over TCP with an echo of its bytes.

usage: python client/python/benchmark/overhead.py [--rounds=N] [BUILD]

Forward of relu on 1 KiB of float32, by the Python client and by actserve.torch,
and echoes of the same request by grpcio alone: from a server in C++ that does
nothing else, and from one of grpcio. Prints a Markdown table. Blocks of calls
alternate; a ratio is that of a way's time to the echo's in the same round.
Needs PyTorch (scripts/setup --frameworks). BUILD is the build folder.
"""

from __future__ import annotations

import argparse
import os
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peers import grpcio
from peers.waiting import free_port, until_it_works
from turns import Process, alternate, block_of, ratio
from ways import by_echo

import actserve
import actserve.torch
from actserve.testing import ServerProcess

SIZE = 1 << 10
BLOCK_SECONDS = 0.02
GOALS = {"Client": 1.3, "Client, out=": 1.3, "actserve.torch": 1.6}


def measure(build: Path, rounds: int) -> dict[str, list[float]]:
    """Returns the seconds of a call by way and round."""
    os.environ.setdefault(
        "ACTSERVE_LIBRARY", str(build / "lib" / "libactserve.so.1")
    )
    x = np.random.default_rng(1).standard_normal(SIZE // 4, np.float32)
    y = np.empty_like(x)
    tensor = torch.from_numpy(x)
    port = free_port()
    peer = Process(grpcio.serve, port)
    with (
        ServerProcess(build / "bin/actserved") as server,
        ServerProcess(build / "bin/echo_server") as echo,
        actserve.connect(server.address) as client,
        actserve.connect(server.address, pure=True) as pure,
        torch.no_grad(),
    ):
        calls: dict[str, Callable[[], Any]] = {
            "echo, server in C++": by_echo(echo.address, x),
            "echo, server of grpcio": by_echo(f"127.0.0.1:{port}", x),
            "Client": lambda: client.forward("relu", x),
            "Client, out=": lambda: client.forward("relu", x, out=y),
            "Client, by grpcio": lambda: pure.forward("relu", x),
            "actserve.torch": lambda: actserve.torch.apply(
                "relu", tensor, client=server.address
            ),
        }
        until_it_works(calls["echo, server of grpcio"])
        blocks = {n: block_of(call, BLOCK_SECONDS) for n, call in calls.items()}
        times = alternate(blocks, rounds)
    peer.kill()
    return times


def main() -> None:
    """Measures and prints."""
    root = Path(__file__).resolve().parents[3]
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--rounds", type=int, default=41)
    parser.add_argument(
        "build", type=Path, nargs="?", default=root / "build/release"
    )
    options = parser.parse_args()
    times = measure(options.build, options.rounds)
    echoes = [name for name in times if name.startswith("echo")]
    print(
        "| way | us |", " | ".join(f"to {name}" for name in echoes), "| goal |"
    )
    print("|---|---|" + "---|" * len(echoes) + "---|")
    for name, seconds in times.items():
        found = [ratio(seconds, times[echo]) for echo in echoes]
        goal = ""
        if name in GOALS:
            # To the quicker echo, which is the harder goal.
            reached = max(median for median, _ in found) <= GOALS[name]
            goal = f"<= {GOALS[name]}: {'reached' if reached else 'missed'}"
        us = statistics.median(seconds) * 1e6
        cells = " | ".join(text for _, text in found)
        print(f"| {name} | {us:.0f} | {cells} | {goal} |")


if __name__ == "__main__":
    main()
