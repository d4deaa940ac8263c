"""Measures what Envoy and its TLS cost a caller, against no proxy.

Prints a row for each way and size: one caller at a time, the Python client,
Forward of relu. The ways take turns, so that all see the same machine.

usage: benchmark.py ENVOY ACTSERVED [SECONDS]
"""

from __future__ import annotations

import sys
import time

import numpy as np
from proxy import Proxy

import actserve
from actserve.testing import ServerProcess

SIZES = [4 << 10, 1 << 20]
ROUNDS = 10


def seconds_of_calls(client, x: np.ndarray, seconds: float) -> list[float]:
    """Calls again and again; returns how long each call took."""
    times = []
    end = time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        client.forward("relu", x)
        times.append(time.perf_counter() - start)
    return times


def main() -> None:
    """Measures all ways and prints the table."""
    envoy, actserved = sys.argv[1:3]
    seconds = float(sys.argv[3]) if len(sys.argv) > 3 else 60.0
    slice_seconds = seconds / (ROUNDS * 3 * len(SIZES))
    with (
        ServerProcess(actserved) as server,
        Proxy(envoy, [server.address]) as proxy,
        actserve.connect(server.address) as direct,
        actserve.connect(proxy.address) as by_envoy,
        actserve.connect(
            proxy.tls_address, tls_ca=str(proxy.certificate)
        ) as by_tls,
    ):
        ways = {"direct": direct, "Envoy": by_envoy, "Envoy, TLS": by_tls}
        for client in ways.values():
            client.forward("relu", [1.0])  # the first call connects
        print(
            "| size | way | calls/s | p50 us | p99 us |\n|---|---|---|---|---|"
        )
        for size in SIZES:
            x = np.ones(size // 4, np.float32)
            times: dict[str, list[float]] = {way: [] for way in ways}
            for _ in range(ROUNDS):
                for way, client in ways.items():
                    times[way] += seconds_of_calls(client, x, slice_seconds)
            for way, found in times.items():
                p50, p99 = np.percentile(found, [50, 99]) * 1e6
                print(
                    f"| {size >> 10} KiB | {way} | "
                    f"{len(found) / sum(found):.0f} | {p50:.0f} | {p99:.0f} |"
                )


if __name__ == "__main__":
    main()
