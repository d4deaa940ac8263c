"""Envoy with the shipped configuration, for tests: only its places differ."""

from __future__ import annotations

import contextlib
import pathlib
import socket
import subprocess
import tempfile
import time
import urllib.request
from typing import Any

import yaml

HERE = pathlib.Path(__file__).resolve().parent
_START_SECONDS = 30.0


class Proxy:
    """An Envoy on free ports of loopback in front of some replicas.

    Usable as context manager; ends Envoy at the end.

    Attributes:
      address: "127.0.0.1:PORT", without TLS.
      tls_address: "localhost:PORT", the shipped listener.
      certificate: The certificate of that listener, which signs itself.
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
        self._make_certificate(folder)
        ports = [_free_port() for _ in range(3)]
        self.address = f"127.0.0.1:{ports[0]}"
        self.tls_address = f"localhost:{ports[1]}"
        self._admin = f"http://127.0.0.1:{ports[2]}"
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
                healthy = self.stat("cluster.actserved.membership_healthy")
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

    @staticmethod
    def _make_certificate(folder: pathlib.Path) -> None:
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes"),
                *("-days", "2", "-subj", "/CN=localhost"),
                *("-addext", "subjectAltName=DNS:localhost"),
                *("-keyout", folder / "tls.key", "-out", folder / "tls.crt"),
            ],
            check=True,
            stderr=subprocess.DEVNULL,
        )


def _adapted(
    folder: pathlib.Path,
    replicas: list[str],
    ports: list[int],
    client_calls_per_second: int | None,
) -> str:
    """Returns envoy.yaml with other addresses, paths and one more listener.

    The listener in addition is the same without TLS.
    """
    certificate = (HERE / "certificate.yaml").read_text()
    (folder / "certificate.yaml").write_text(
        certificate.replace("/etc/envoy/tls", str(folder))
    )
    text = (HERE / "envoy.yaml").read_text()
    text = text.replace("/etc/envoy/tls", str(folder))
    text = text.replace("/etc/envoy/", f"{folder}/")
    if client_calls_per_second is not None:
        text = text.replace(
            "{max_tokens: 20000, tokens_per_fill: 20000,",
            f"{{max_tokens: {client_calls_per_second}, "
            f"tokens_per_fill: {client_calls_per_second},",
        )
    config: dict[str, Any] = yaml.safe_load(text)
    config["admin"]["address"] = _address("127.0.0.1", ports[2])
    resources = config["static_resources"]
    (listener,) = resources["listeners"]
    plain = yaml.safe_load(yaml.safe_dump(listener))
    plain["name"] = "plain"
    for chain in plain["filter_chains"]:
        del chain["transport_socket"]
    plain["address"] = _address("127.0.0.1", ports[0])
    listener["address"] = _address("127.0.0.1", ports[1])
    resources["listeners"].append(plain)
    (cluster,) = resources["clusters"]
    cluster["type"] = "STATIC"
    del cluster["dns_refresh_rate"], cluster["respect_dns_ttl"]
    cluster["load_assignment"]["endpoints"] = [
        {
            "lb_endpoints": [
                {"endpoint": {"address": _address(host, int(port))}}
                for host, _, port in (r.rpartition(":") for r in replicas)
            ]
        }
    ]
    return yaml.safe_dump(config)


def _address(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}


def _free_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port: int = unused.getsockname()[1]
        return port
