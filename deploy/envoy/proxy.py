"""Envoy with the shipped configuration, for tests: only its places differ."""

from __future__ import annotations

import contextlib
import pathlib
import subprocess
import tempfile
import time
import urllib.request
from typing import Any

import yaml
from certificate import make_certificate
from free_port import free_port

HERE = pathlib.Path(__file__).resolve().parent
_START_SECONDS = 30.0


class Proxy:
    """An Envoy on free ports of loopback in front of some replicas.

    Usable as context manager; ends Envoy at the end.

    Attributes:
      address: "127.0.0.1:PORT", without TLS: the listener `inside`.
      tls_address: "localhost:PORT", the shipped listener.
      certificate: The certificate of that listener, which signs itself.
      admin_path: "127.0.0.1/PORT" of the admin's, as in /dev/tcp.
      statistics: "http://127.0.0.1:PORT" of the listener for Prometheus.
    """

    def __init__(
        self,
        envoy: str,
        replicas: list[str],
        client_calls_per_second: int | None = None,
    ):
        """Starts Envoy and waits until it has found `replicas` healthy.

        Args:
          envoy: The program.
          replicas: Their addresses, host:port.
          client_calls_per_second: Limit for one client; None: as shipped.
        """
        self._folder = tempfile.TemporaryDirectory(prefix="actserve-envoy-")
        folder = pathlib.Path(self._folder.name)
        self.certificate = folder / "tls.crt"
        make_certificate(folder)
        ports = {
            name: free_port()
            for name in ("clients", "inside", "statistics", "admin")
        }
        self.address = f"127.0.0.1:{ports['inside']}"
        self.tls_address = f"localhost:{ports['clients']}"
        self.statistics = f"http://127.0.0.1:{ports['statistics']}"
        self.admin_path = f"127.0.0.1/{ports['admin']}"
        self._admin = f"http://127.0.0.1:{ports['admin']}"
        config = folder / "envoy.yaml"
        config.write_text(
            _adapted(folder, replicas, ports, client_calls_per_second)
        )
        self._log = folder / "log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *(envoy, "-c", config, "--concurrency", "1"),
                    *("--use-dynamic-base-id", "--log-level", "warning"),
                    *("--drain-time-s", "2"),
                ],
                stdout=log,
                stderr=log,
                cwd=folder,
            )
        try:
            self.await_healthy(len(replicas))
        except BaseException:
            self.__exit__()
            raise

    def stat(self, name: str) -> int:
        """Returns a counter or gauge of Envoy's; 0 if there is none yet."""
        url = f"{self._admin}/stats?filter=^{name}$"
        with urllib.request.urlopen(url, timeout=5) as answer:
            text = answer.read().decode()
        return int(text.rpartition(": ")[2]) if text else 0

    def await_healthy(self, replicas: int) -> None:
        """Waits until Envoy finds `replicas` of them healthy."""
        deadline = time.monotonic() + _START_SECONDS
        healthy = 0
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                healthy = self.stat("cluster.actserve.membership_healthy")
                if healthy == replicas:
                    return
            if self._process.poll() is not None:
                break
            time.sleep(0.05)
        raise RuntimeError(
            f"{healthy} of {replicas} replicas are healthy: {self.log()}"
        )

    def log(self) -> str:
        """Returns what Envoy has written so far, its access log included."""
        return self._log.read_text(errors="replace")

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()


def _adapted(
    folder: pathlib.Path,
    replicas: list[str],
    ports: dict[str, int],
    client_calls_per_second: int | None,
) -> str:
    """Returns envoy.yaml with other addresses and paths."""
    certificate = (HERE / "certificate.yaml").read_text()
    (folder / "certificate.yaml").write_text(
        certificate.replace("/etc/envoy-tls", str(folder))
    )
    text = (HERE / "envoy.yaml").read_text()
    text = text.replace("/etc/envoy-tls", str(folder))
    text = text.replace("/etc/envoy/", f"{folder}/")
    if client_calls_per_second is not None:
        text = text.replace(
            "{max_tokens: 20000, tokens_per_fill: 20000,",
            f"{{max_tokens: {client_calls_per_second}, "
            f"tokens_per_fill: {client_calls_per_second},",
        )
    config: dict[str, Any] = yaml.safe_load(text)
    config["admin"]["address"] = _address("127.0.0.1", ports["admin"])
    resources = config["static_resources"]
    for listener in resources["listeners"]:
        listener["address"] = _address("127.0.0.1", ports[listener["name"]])
    clusters = {cluster["name"]: cluster for cluster in resources["clusters"]}
    _set_replicas(clusters["admin"], [f"127.0.0.1:{ports['admin']}"])
    cluster = clusters["actserve"]
    cluster["type"] = "STATIC"
    for setting in ("dns_lookup_family", "dns_refresh_rate", "respect_dns_ttl"):
        del cluster[setting]
    _set_replicas(cluster, replicas)
    return yaml.safe_dump(config)


def _set_replicas(cluster: dict[str, Any], replicas: list[str]) -> None:
    cluster["load_assignment"]["endpoints"] = [
        {
            "lb_endpoints": [
                {"endpoint": {"address": _address(host, int(port))}}
                for host, _, port in (r.rpartition(":") for r in replicas)
            ]
        }
    ]


def _address(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}
