"""Trains on three replicas while each restarts and is killed.

Once through Envoy, and once with a client that has the three addresses.

A step is a Forward that keeps a residual, and a Backward that uses it. No step
may fail, and each must give the bits of an undisturbed server. For tensors of
4 KiB to 16 MiB, every replica in turn is told to stop and started again, then
every replica in turn is killed and started again.

usage: failover_test.py ENVOY ACTSERVED
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
import sys
import threading
import time

import numpy as np
from proxy import Proxy

import actserve
from actserve.testing import ServerProcess

SIZES = [4 << 10, 1 << 20, 4 << 20, 16 << 20]
TRAINERS = 4
# Steps that each trainer has done on a replica before the next one goes.
STEPS_BETWEEN = 2
DRAIN_DELAY = "2s"


@dataclasses.dataclass
class Answers:
    """What an undisturbed server answers.

    Attributes:
      x: The input.
      dy: The gradient that comes in.
      y: The value.
      dx: The gradient that goes out.
    """

    x: np.ndarray
    dy: np.ndarray
    y: np.ndarray
    dx: np.ndarray


class Trainers:
    """Threads that train until they are told to stop."""

    def __init__(self, address: str, answers: Answers):
        """Starts them."""
        self.steps = [0] * TRAINERS
        self.failures: collections.Counter[str] = collections.Counter()
        self.slowest = 0.0
        self.sent_again = 0
        self._answers = answers
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._train, args=(i, address))
            for i in range(TRAINERS)
        ]
        for thread in self._threads:
            thread.start()

    def await_steps(self) -> None:
        """Waits until each has done some more steps."""
        wanted = [steps + STEPS_BETWEEN for steps in self.steps]
        while any(a < b for a, b in zip(self.steps, wanted, strict=True)):
            time.sleep(0.01)

    def stop(self) -> None:
        """Lets each finish its step."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _train(self, number: int, address: str) -> None:
        want = self._answers
        with actserve.connect(address) as client:
            while not self._stop.is_set():
                start = time.monotonic()
                try:
                    y, _, residual = client.forward_with(
                        "gelu", want.x, keep_residual=True
                    )
                    gradients = client.backward(
                        "gelu", residual=residual, grad_output=want.dy
                    )
                    if y.tobytes() != want.y.tobytes():
                        self.failures["other bits of y"] += 1
                    if gradients["x"].tobytes() != want.dx.tobytes():
                        self.failures["other bits of dx"] += 1
                    self.sent_again += not residual.is_held
                except actserve.ActivationError as error:
                    self.failures[str(error)[:150]] += 1
                self.slowest = max(self.slowest, time.monotonic() - start)
                self.steps[number] += 1


def answers_of(address: str, size_bytes: int) -> Answers:
    """Returns what a server answers to an input of `size_bytes`."""
    generator = np.random.default_rng(size_bytes)
    x = generator.normal(size=size_bytes // 4).astype(np.float32)
    dy = generator.normal(size=x.size).astype(np.float32)
    with actserve.connect(address) as client:
        y = client.forward("gelu", x)
        return Answers(
            x, dy, y, client.backward("gelu", x, grad_output=dy)["x"]
        )


def disturb(
    how: str,
    replicas: list[ServerProcess],
    proxy: Proxy,
    trainers: Trainers,
) -> None:
    """Ends each replica in turn and starts it again."""
    for replica in replicas:
        trainers.await_steps()
        if how == "restarted":
            replica.stop()
        else:
            replica.kill()
        trainers.await_steps()
        replica.start()
        proxy.await_healthy(len(replicas))


def main() -> int:
    """Runs all; returns 1 if a step failed."""
    envoy, actserved = sys.argv[1:]
    failed = False
    with (
        ServerProcess(actserved, f"--drain_delay={DRAIN_DELAY}") as a,
        ServerProcess(actserved, f"--drain_delay={DRAIN_DELAY}") as b,
        ServerProcess(actserved, f"--drain_delay={DRAIN_DELAY}") as c,
        Proxy(envoy, [a.address, b.address, c.address]) as proxy,
    ):
        replicas = [a, b, c]
        ways = {
            "by Envoy": proxy.address,
            "directly": "ipv4:" + ",".join(r.address for r in replicas),
        }
        for way, size, how in itertools.product(
            ways, SIZES, ["restarted", "killed"]
        ):
            trainers = Trainers(ways[way], answers_of(a.address, size))
            try:
                disturb(how, replicas, proxy, trainers)
            finally:
                trainers.stop()
            failures = sum(trainers.failures.values())
            failed |= failures > 0
            print(
                f"{way}, {size >> 10:5} KiB, replicas {how}: "
                f"{sum(trainers.steps)} steps, {failures} failed, "
                f"{trainers.sent_again} sent again without their residual, "
                f"slowest {trainers.slowest:.1f} s",
                flush=True,
            )
            for failure, times in trainers.failures.items():
                print(f"  {times} x {failure}")
        retries = proxy.stat("cluster.actserve.upstream_rq_retry")
        print(f"Envoy sent {retries} calls to another replica")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
