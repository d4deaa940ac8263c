"""Seldon's MLServer, in one process.

Arrays go as one element of type BYTES, as it makes a list of Python's numbers
of every FP32 tensor.
"""

from __future__ import annotations

from typing import Any

from peers.grpcio import UNLIMITED
from peers.waiting import until_it_works


def serve(port: int, http_port: int) -> None:
    """Serves clients until it is killed."""
    import asyncio

    from mlserver import MLServer, ModelSettings, Settings

    from peers import seldon_model

    server = MLServer(
        Settings(
            host="127.0.0.1",
            grpc_port=port,
            http_port=http_port,
            metrics_endpoint=None,
            parallel_workers=0,
            grpc_max_message_length=-1,
            debug=False,
        )
    )
    model = ModelSettings(name="silu", implementation=seldon_model.Silu)
    asyncio.run(server.start([model]))


def client(port: int, with_gradient: bool) -> Any:
    """Sends by the stubs that MLServer brings."""
    import grpc
    import numpy as np
    from mlserver.grpc import dataplane_pb2, dataplane_pb2_grpc

    channel = grpc.insecure_channel(f"127.0.0.1:{port}", UNLIMITED)
    stub = dataplane_pb2_grpc.GRPCInferenceServiceStub(channel)
    ready = dataplane_pb2.ModelReadyRequest(name="silu")

    def is_ready() -> None:
        assert stub.ModelReady(ready).ready

    until_it_works(is_ready)

    def call_of(x: Any, dy: Any) -> Any:
        sent = {"x": x, "dy": dy} if with_gradient else {"x": x}

        def call() -> Any:
            request = dataplane_pb2.ModelInferRequest(model_name="silu")
            for name, array in sent.items():
                request.inputs.add(
                    name=name, datatype="BYTES", shape=[1]
                ).contents.bytes_contents.append(array.tobytes())
            answer = stub.ModelInfer(request)
            return [
                np.frombuffer(one.contents.bytes_contents[0], np.float32)
                for one in answer.outputs
            ]

        return call

    return call_of
