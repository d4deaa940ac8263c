"""Calls a server through nginx with the shipped configuration.

usage: nginx_test.py NGINX ACTSERVED
"""

from __future__ import annotations

import pathlib
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import unittest

import grpc
import numpy as np
from certificate import make_certificate
from free_port import free_port
from http2_peer import GOAWAY, Peer

import actserve
from actserve.testing import ServerProcess

CONFIG = pathlib.Path(__file__).resolve().parent / "nginx.conf"


class Nginx:
    """An nginx on a free port of loopback; ends with its context."""

    def __init__(self, nginx: str, replica: str):
        """Checks the configuration, starts nginx, waits until it listens."""
        self._folder = tempfile.TemporaryDirectory(prefix="actserve-nginx-")
        folder = pathlib.Path(self._folder.name)
        folder.chmod(0o755)
        make_certificate(folder)
        self.certificate = folder / "tls.crt"
        port = free_port()
        self.address = f"localhost:{port}"
        text = CONFIG.read_text()
        for place, other in [
            ("listen 8443", f"listen 127.0.0.1:{port}"),
            ("127.0.0.1:50051", replica),
            ("/etc/nginx/tls/", f"{folder}/"),
            ("/run/nginx.pid", f"{folder}/pid"),
            ("/var/log/nginx/", f"{folder}/"),
            # Where an nginx that is not installed keeps what it writes.
            (
                "http {",
                "daemon off;\nhttp {\n"
                + "".join(
                    f"{kind}_temp_path {folder}/{kind};\n"
                    for kind in (
                        *("client_body", "proxy", "fastcgi"),
                        *("uwsgi", "scgi"),
                    )
                ),
            ),
        ]:
            assert place in text, place
            text = text.replace(place, other)
        config = folder / "nginx.conf"
        config.write_text(text)
        command = [nginx, "-e", folder / "error.log", "-c", config]
        subprocess.run([*command, "-t", "-q"], check=True)
        self._process = subprocess.Popen(command)
        while not self._listens(port):
            if self._process.poll() is not None:
                raise RuntimeError((folder / "error.log").read_text())
            time.sleep(0.05)

    def stop(self) -> None:
        """Ends nginx."""
        self._process.terminate()
        self._process.wait()
        self._folder.cleanup()

    @staticmethod
    def _listens(port: int) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0


class NginxTest(unittest.TestCase):
    """One nginx and one server."""

    nginx: Nginx
    server: ServerProcess

    def test_passes_calls_on_by_tls(self) -> None:
        x = np.random.default_rng(0).normal(size=1 << 20).astype(np.float32)
        with actserve.connect(self.server.address) as client:
            want = client.forward("gelu", x)

        y = self._forward(x)

        self.assertEqual(y.tobytes(), want.tobytes())

    def test_a_server_that_is_gone_is_unavailable(self) -> None:
        self.server.kill()
        try:
            with self.assertRaises(actserve.ActivationError) as raised:
                self._forward(np.ones(4, np.float32), max_attempts=1)
            self.assertEqual(raised.exception.code, grpc.StatusCode.UNAVAILABLE)
        finally:
            self.server.start()

        self.assertEqual(self._forward(np.ones(1, np.float32)).size, 1)

    def test_closes_a_connection_that_resets_its_streams(self) -> None:
        context = ssl.create_default_context(cafile=self.nginx.certificate)
        context.set_alpn_protocols(["h2"])
        peer = self.enterContext(Peer(self.nginx.address, context))

        peer.reset_streams(20_000)

        self.assertIn(GOAWAY, [kind for kind, _ in peer.frames()])

    def _forward(self, x: np.ndarray, max_attempts: int = 7) -> np.ndarray:
        with actserve.connect(
            self.nginx.address,
            max_attempts=max_attempts,
            tls_ca=str(self.nginx.certificate),
        ) as client:
            return client.forward("gelu", x)


def main() -> None:
    """Starts nginx and a server for all tests."""
    nginx, actserved = sys.argv[1:3]
    with ServerProcess(actserved) as server:
        NginxTest.server = server
        NginxTest.nginx = Nginx(nginx, server.address)
        try:
            unittest.main(argv=sys.argv[:1])
        finally:
            NginxTest.nginx.stop()


if __name__ == "__main__":
    main()
