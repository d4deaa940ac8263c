"""NVIDIA's Triton with its Python backend, by PyTriton, without batching."""

from __future__ import annotations

from typing import Any

from peers import silu
from peers.waiting import until_it_works


def serve(port: int, http_port: int, folder: str) -> None:
    """Serves clients until it is killed."""
    import os

    import numpy as np

    os.environ["PYTRITON_HOME"] = folder
    from pytriton.model_config import ModelConfig, Tensor
    from pytriton.triton import Triton, TritonConfig

    def tensor(name: str) -> Any:
        return Tensor(name=name, dtype=np.float32, shape=(-1,))

    def infer(requests: Any) -> Any:
        """Computes requests one by one."""
        results = []
        for request in requests:
            if "dy" in request:
                y, dx = silu.step(request["x"], request["dy"])
                results.append({"y": y, "dx": dx})
            else:
                results.append({"y": silu.forward(request["x"])})
        return results

    config = TritonConfig(
        grpc_port=port,
        http_port=http_port,
        allow_metrics=False,
        log_verbose=0,
    )
    with Triton(config=config, workspace=f"{folder}/workspace") as triton:
        for name, inputs, outputs in (
            ("forward", ["x"], ["y"]),
            ("step", ["x", "dy"], ["y", "dx"]),
        ):
            triton.bind(
                model_name=name,
                infer_func=infer,
                inputs=[tensor(one) for one in inputs],
                outputs=[tensor(one) for one in outputs],
                config=ModelConfig(batching=False),
            )
        triton.serve()


def client(port: int, with_gradient: bool) -> Any:
    """Sends by tritonclient over gRPC, with a connection for each caller."""
    from tritonclient import grpc

    model = "step" if with_gradient else "forward"

    def is_ready() -> None:
        connection = grpc.InferenceServerClient(f"127.0.0.1:{port}")
        assert connection.is_model_ready(model)

    until_it_works(is_ready)

    def call_of(x: Any, dy: Any) -> Any:
        connection = grpc.InferenceServerClient(f"127.0.0.1:{port}")
        sent = {"x": x, "dy": dy} if with_gradient else {"x": x}
        names = ["y", "dx"][: len(sent)]

        def call() -> Any:
            inputs = []
            for name, array in sent.items():
                one = grpc.InferInput(name, array.shape, "FP32")
                one.set_data_from_numpy(array)
                inputs.append(one)
            answer = connection.infer(model, inputs)
            return [answer.as_numpy(name) for name in names]

        return call

    return call_of
