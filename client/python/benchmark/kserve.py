"""Compares ModelInfer of KServe v2 with Forward of the native service.

usage: python client/python/benchmark/kserve.py [--rounds=N] [BUILD]

A gelu of float32 over TCP by grpcio alone, which sends bytes that were made
beforehand and gets bytes: so what differs is the server. Blocks of calls
alternate; the ratio is that of the two times in the same round. Prints a
Markdown table. BUILD is the build folder.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

import grpc
import numpy as np
from tritonclient.grpc import service_pb2 as kserve
from turns import alternate, block_of, ratio

from actserve.testing import ServerProcess
from actserve.v1 import service_pb2, tensor_pb2

SIZES = (4 << 10, 1 << 20)
BLOCK_SECONDS = 0.1
METHODS = {
    "Forward": "/actserve.v1.ActivationService/Forward",
    "ModelInfer": "/inference.GRPCInferenceService/ModelInfer",
}


def requests(size_bytes: int) -> dict[str, bytes]:
    """Returns the encoded request of each method."""
    count = size_bytes // 4
    x = np.random.default_rng(1).normal(size=count).astype(np.float32)
    forward = service_pb2.ForwardRequest(
        activation="gelu",
        inputs=[
            tensor_pb2.Tensor(dtype=tensor_pb2.DTYPE_FLOAT32, shape=[count])
        ],
        payload=[x.tobytes()],
    )
    infer = kserve.ModelInferRequest(
        model_name="gelu", raw_input_contents=[x.tobytes()]
    )
    infer.inputs.add(name="x", datatype="FP32", shape=[count])
    return {
        "Forward": forward.SerializeToString(),
        "ModelInfer": infer.SerializeToString(),
    }


def main() -> None:
    """Prints a row for each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("build", nargs="?", default="build/release", type=Path)
    options = parser.parse_args()
    print(
        "| tensor | Forward, us | ModelInfer, us | ratio |\n|---|---|---|---|"
    )
    with (
        ServerProcess(
            options.build / "bin" / "actserved", "--kserve"
        ) as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        for size_bytes in SIZES:
            blocks = {}
            for name, request in requests(size_bytes).items():
                method = channel.unary_unary(METHODS[name])
                blocks[name] = block_of(
                    lambda method=method, request=request: method(request),
                    BLOCK_SECONDS,
                )
            times = alternate(blocks, options.rounds)
            medians = [
                f"{statistics.median(times[name]) * 1e6:.0f}"
                for name in METHODS
            ]
            _, text = ratio(times["ModelInfer"], times["Forward"])
            print(
                f"| {size_bytes >> 10} KiB | {' | '.join(medians)} | {text} |"
            )


if __name__ == "__main__":
    main()
