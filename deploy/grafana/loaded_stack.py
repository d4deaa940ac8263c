"""Two servers under load and the Prometheus that scrapes them, for tests."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import actserve
from actserve.testing import ServerProcess

ROOT = Path(__file__).resolve().parents[2]
RATE_INTERVAL = "10s"


def actserved() -> Path:
    """Returns the path of the server's program."""
    build = os.environ.get("ACTSERVE_BUILD_DIR", ROOT / "build" / "release")
    return Path(build) / "bin" / "actserved"


def panels() -> list[dict[str, Any]]:
    """Returns the panels of the dashboard."""
    text = (ROOT / "deploy/grafana/dashboard.json").read_text()
    return json.loads(text)["panels"]


def expression(target: dict[str, Any]) -> str:
    """Returns a panel's query as Grafana sends it to Prometheus."""
    return (
        target["expr"]
        .replace("$__rate_interval", RATE_INTERVAL)
        .replace("$instance", ".*")
    )


def metrics_address(server: ServerProcess) -> str:
    """Returns where a server serves metrics, from its log."""
    # It writes that line after the file that says that it listens.
    for _ in range(1000):
        found = re.search(r'"metrics":"([^"]+)"', server.log())
        if found:
            return found[1]
        time.sleep(0.01)
    raise TimeoutError(server.log())


class Prometheus:
    """A Prometheus process with the project's own configuration.

    Only the targets and the intervals are others.
    """

    def __init__(self, folder: Path, targets: list[str]):
        """Starts it; `folder` is for its files."""
        configuration = (
            (ROOT / "deploy/prometheus/prometheus.yml")
            .read_text()
            .replace('"actserve:9464"', json.dumps(targets)[1:-1])
            .replace("interval: 5s", "interval: 1s")
        )
        (folder / "prometheus.yml").write_text(configuration)
        shutil.copy(ROOT / "deploy/prometheus/rules.yml", folder)
        with socket.create_server(("127.0.0.1", 0)) as free:
            address = f"127.0.0.1:{free.getsockname()[1]}"
        self._url = f"http://{address}/api/v1/"
        self._log = (folder / "log").open("wb")
        self._process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address={address}",
            ],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )

    def stop(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.wait()
        self._log.close()

    def get(self, path: str, **parameters: object) -> Any:
        """Returns the data of an answer of the API."""
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"{self._url}{path}?{query}") as answer:
            return json.load(answer)["data"]

    def query(self, expr: str) -> list[dict[str, Any]]:
        """Returns the series of an instant query."""
        return self.get("query", query=expr)["result"]

    def wait_for(self, expr: str, seconds: float = 60) -> None:
        """Waits until a query has a result."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with contextlib.suppress(urllib.error.URLError):
                if self.query(expr):
                    return
            time.sleep(0.2)
        raise TimeoutError(f"{expr}: no result after {seconds} s")


class Load:
    """Clients that use all that a server has, good and bad."""

    def __init__(self, addresses: list[str]):
        """Starts the clients of the servers at `addresses`."""
        self._done = threading.Event()
        self._texts = 0
        steps: list[Callable[[actserve.Client], None]] = [
            self._small,
            self._train,
            self._train,
            self._train,
            self._forget,
            self._fail,
            self._register,
        ]
        self._threads = [
            threading.Thread(target=self._run, args=(address, step))
            for address in addresses
            for step in steps
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends the clients."""
        self._done.set()
        for thread in self._threads:
            thread.join()

    def _run(
        self, address: str, step: Callable[[actserve.Client], None]
    ) -> None:
        with actserve.connect(address, max_attempts=1) as client:
            while not self._done.is_set():
                # A full queue, a bad request: they are to be in the picture.
                with contextlib.suppress(actserve.ActivationError):
                    step(client)

    def _small(self, client: actserve.Client) -> None:
        client.forward("gelu", np.ones(256, np.float32))
        self._done.wait(0.002)

    def _train(self, client: actserve.Client) -> None:
        x = np.ones(1 << 16, np.float32)
        _, _, residual = client.forward_with("silu", x, keep_residual=True)
        client.backward("silu", residual=residual, grad_output=x)
        self._done.wait(0.002)

    def _forget(self, client: actserve.Client) -> None:
        x = np.ones(256, np.float32)
        client.forward_with("relu", x, keep_residual=True, residual_lease=0.1)
        self._done.wait(0.1)

    def _fail(self, client: actserve.Client) -> None:
        self._done.wait(0.05)
        client.forward("relu", np.ones(4, np.float32), parameters={"no": 1.0})

    def _register(self, client: actserve.Client) -> None:
        self._texts += 1
        text = f"def text{self._texts}(x): return x * {self._texts + 2}"
        client.forward(actserve.Activation(text), np.ones(4, np.float32))
        self._done.wait(0.5)


@contextlib.contextmanager
def loaded_stack() -> Iterator[Prometheus]:
    """Runs the stack; it has data of two rate intervals when it is given."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        servers = [
            stack.enter_context(
                ServerProcess(
                    actserved(),
                    "--device=cpu",
                    "--metrics=127.0.0.1:0",
                    # Tensors of 64 Ki elements wait for the device.
                    "--inline_bytes=65536",
                    "--compute_threads=1",
                    "--max_queued=2",
                )
            )
            for _ in range(2)
        ]
        targets = [metrics_address(server) for server in servers]
        prometheus = Prometheus(folder, targets)
        stack.callback(prometheus.stop)
        load = Load([server.address for server in servers])
        stack.callback(load.stop)
        prometheus.wait_for(
            "count(count_over_time(actserve_build_info[20s]) >= 20) == 2"
        )
        yield prometheus
