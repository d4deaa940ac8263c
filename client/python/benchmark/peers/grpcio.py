"""An echo of bytes by grpcio, which computes nothing."""

from __future__ import annotations

from concurrent import futures
from typing import Any

from peers.waiting import until_it_works

UNLIMITED = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
]


def serve(port: int) -> None:
    """Serves clients until it is killed."""
    import grpc

    class Echo(grpc.GenericRpcHandler):  # type: ignore[misc]
        """Answers every call with its request."""

        def service(self, _: Any) -> Any:
            return grpc.unary_unary_rpc_method_handler(lambda sent, _: sent)

    server = grpc.server(
        futures.ThreadPoolExecutor(8), [Echo()], options=UNLIMITED
    )
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    server.wait_for_termination()


def client(port: int, with_gradient: bool) -> Any:
    """Sends x, or x and dy, and takes as many bytes for the results."""
    import grpc
    import numpy as np

    channel = grpc.insecure_channel(f"127.0.0.1:{port}", UNLIMITED)
    echo = channel.unary_unary("/echo/Echo")
    until_it_works(lambda: echo(b""))

    def call_of(x: Any, dy: Any) -> Any:
        sent = [x, dy] if with_gradient else [x]

        def call() -> Any:
            answer = echo(
                b"".join(memoryview(array).cast("B") for array in sent)
            )
            return np.split(np.frombuffer(answer, np.float32), len(sent))

        return call

    return call_of
