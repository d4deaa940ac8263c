"""Sends through Envoy what strangers send: floods, bombs, old TLS.

usage: edge_test.py ENVOY ACTSERVED
"""

from __future__ import annotations

import pathlib
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request

import grpc
import yaml
from certificate import make_certificate
from http2_peer import (
    CONTINUATION,
    END_HEADERS,
    HEADERS,
    MAX_CONCURRENT_STREAMS,
    SETTINGS,
    Peer,
    frame,
    header,
    header_block,
)
from proxy import Proxy

import actserve
from actserve.testing import ServerProcess

HEALTH = "/grpc.health.v1.Health/Check"
CALLS_PER_SECOND = 50
DRAINED = "http.actserve.downstream_cx_drain_close"
OVERLAY = (
    pathlib.Path(__file__).resolve().parent.parent
    / "kubernetes/overlays/envoy/envoy.yaml"
)


class EdgeTest(unittest.TestCase):
    """One Envoy, one replica; each test is a stranger."""

    proxy: Proxy
    server: ServerProcess

    def tearDown(self) -> None:
        """Others are served, whatever the stranger did."""
        time.sleep(1)  # The bucket of this address fills again.
        with actserve.connect(self.proxy.address) as client:
            self.assertEqual(client.forward("relu", [1.0])[0], 1.0)

    def test_ends_tls(self) -> None:
        certificate = self.proxy.certificate.read_bytes()
        credentials = grpc.ssl_channel_credentials(certificate)
        with grpc.secure_channel(
            self.proxy.tls_address, credentials
        ) as channel:
            self.assertEqual(
                channel.unary_unary(HEALTH)(b"", timeout=10), b"\x08\x01"
            )

    def test_speaks_http2_by_tls_1_2_and_newer(self) -> None:
        host, _, port = self.proxy.tls_address.rpartition(":")
        for version, works in [
            (ssl.TLSVersion.TLSv1_1, False),
            (ssl.TLSVersion.TLSv1_2, True),
            (ssl.TLSVersion.TLSv1_3, True),
        ]:
            with self.subTest(version=version.name):
                context = ssl.create_default_context(
                    cafile=self.proxy.certificate
                )
                # Our own library must not be the one to refuse.
                context.set_ciphers("ALL:@SECLEVEL=0")
                context.minimum_version = context.maximum_version = version
                context.set_alpn_protocols(["h2"])
                with socket.create_connection((host, int(port))) as plain:
                    try:
                        with context.wrap_socket(
                            plain, server_hostname=host
                        ) as secure:
                            self.assertEqual(
                                secure.selected_alpn_protocol(), "h2"
                            )
                            self.assertTrue(works)
                    except (ssl.SSLError, ConnectionError):
                        self.assertFalse(works)

    def test_shows_a_new_certificate(self) -> None:
        folder = self.proxy.certificate.parent
        host, _, port = self.proxy.tls_address.rpartition(":")
        address = (host, int(port))
        old = ssl.get_server_certificate(address)
        with tempfile.TemporaryDirectory(dir=folder) as new:
            make_certificate(pathlib.Path(new))
            for name in ("tls.key", "tls.crt"):
                (pathlib.Path(new) / name).replace(folder / name)

        deadline = time.monotonic() + 30
        while (shown := ssl.get_server_certificate(address)) == old:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.1)
        self.assertEqual(
            shown.strip(), self.proxy.certificate.read_text().strip()
        )

    def test_closes_a_connection_that_resets_its_streams(self) -> None:
        peer = self.enterContext(Peer(self.proxy.address))

        sent = peer.reset_streams(20_000)

        stat = "http.actserve.downstream_rq_too_many_premature_resets"
        self.assertGreaterEqual(self.proxy.stat(stat), 1)
        self.assertLess(sent, 20_000)

    def test_bounds_streams(self) -> None:
        peer = self.enterContext(Peer(self.proxy.address))

        settings = [d for kind, d in peer.frames(0.5) if kind == SETTINGS]

        entries = struct.iter_unpack(">HI", settings[0])
        self.assertEqual(dict(entries)[MAX_CONCURRENT_STREAMS], 100)

    def test_refuses_floods_of_headers(self) -> None:
        many = [(f"x-{i}", "y") for i in range(200)]
        for name, more, passed in [
            ("a call", [("x", "y")], 1),
            ("200 headers", many, 0),
            ("headers of 30 KiB", [("x", "y" * 15_000)] * 2, 0),
            ("an underscore", [("x_y", "z")], 0),
        ]:
            with self.subTest(name):
                before = self._calls_of_replica()
                peer = self.enterContext(Peer(self.proxy.address))
                block = header_block(more)

                peer.send(
                    frame(HEADERS, 0, 1, block[:16_000])
                    + frame(CONTINUATION, END_HEADERS, 1, block[16_000:])
                )

                peer.frames(0.5)
                self.assertEqual(self._calls_of_replica() - before, passed)

    def test_closes_a_connection_whose_headers_never_end(self) -> None:
        peer = self.enterContext(Peer(self.proxy.address))

        peer.send(frame(HEADERS, 0, 1, header_block([])))
        more = header("x", "y" * 1000)
        # Sockets take megabytes before the proxy has read the first of them.
        has_ended = False
        until = time.monotonic() + 10
        while not has_ended and time.monotonic() < until:
            # The end may be read before a send fails.
            has_ended = peer.has_ended() or not peer.send(
                frame(CONTINUATION, 0, 1, more)
            )

        self.assertTrue(has_ended)

    def test_passes_on_no_other_service(self) -> None:
        before = self._calls_of_replica()

        with (
            grpc.insecure_channel(self.proxy.address) as channel,
            self.assertRaises(grpc.RpcError) as raised,
        ):
            channel.unary_unary("/grpc.reflection.v1.X/Y")(b"", timeout=10)

        self.assertEqual(raised.exception.code(), grpc.StatusCode.UNIMPLEMENTED)
        self.assertEqual(self._calls_of_replica(), before)

    def test_shows_statistics_and_nothing_else(self) -> None:
        def get(path: str) -> str:
            url = self.proxy.statistics + path
            with urllib.request.urlopen(url, timeout=10) as answer:
                return answer.read().decode()

        self.assertIn(
            "envoy_cluster_membership_healthy", get("/stats/prometheus")
        )
        self.assertIn("LIVE", get("/ready"))
        for path in ["/", "/quitquitquit", "/config_dump", "/stats"]:
            with self.subTest(path), self.assertRaises(urllib.error.HTTPError):
                get(path)

    def test_refuses_a_client_that_calls_too_often(self) -> None:
        codes = []
        with grpc.insecure_channel(self.proxy.address) as channel:
            call = channel.unary_unary(
                "/actserve.v1.ActivationService/GetServerInfo"
            )
            for future in [
                call.future(b"", timeout=10)
                for _ in range(4 * CALLS_PER_SECOND)
            ]:
                codes.append(future.code())

        # Calls just before this test may have taken some of the bucket.
        self.assertGreaterEqual(
            codes.count(grpc.StatusCode.OK), CALLS_PER_SECOND // 2
        )
        self.assertGreater(codes.count(grpc.StatusCode.RESOURCE_EXHAUSTED), 0)
        self.assertEqual(
            set(codes),
            {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED},
        )

    def _calls_of_replica(self) -> int:
        return self.proxy.stat("cluster.actserve.upstream_rq_total")


class DrainTest(unittest.TestCase):
    """What a pod of Envoy does before it ends."""

    def test_tells_clients_to_go_elsewhere(self) -> None:
        (script,) = [
            container["lifecycle"]["preStop"]["exec"]["command"][-1]
            for resource in yaml.safe_load_all(OVERLAY.read_text())
            if resource["kind"] == "Deployment"
            for container in resource["spec"]["template"]["spec"]["containers"]
        ]
        server = EdgeTest.server
        with (
            Proxy(sys.argv[1], [server.address]) as proxy,
            actserve.connect(proxy.address) as client,
        ):
            client.forward("relu", [1.0])
            self.assertEqual(proxy.stat(DRAINED), 0)
            script = script.replace("127.0.0.1/9901", proxy.admin_path)
            script = script.replace("sleep 40", "")

            subprocess.run(["bash", "-euc", script], check=True)

            deadline = time.monotonic() + 30
            while not proxy.stat(DRAINED):
                client.forward("relu", [1.0])
                self.assertLess(time.monotonic(), deadline)


def main() -> None:
    """Starts Envoy and a replica for all tests."""
    envoy, actserved = sys.argv[1:3]
    with (
        ServerProcess(actserved) as server,
        Proxy(envoy, [server.address], CALLS_PER_SECOND) as proxy,
    ):
        EdgeTest.server, EdgeTest.proxy = server, proxy
        unittest.main(argv=sys.argv[:1])


if __name__ == "__main__":
    main()
