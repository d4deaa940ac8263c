"""Compares how a call of Python reaches a server, and this process.

usage: python client/python/benchmark/ways.py [BUILD_FOLDER]

Forward of relu over TCP and a unix socket: by the library, by grpcio, by the
C++ client with memory made before, and an echo of the same bytes over grpcio.
Then silu of 1 KiB "local", against the C interface, and PyTorch's where it is
installed. Prints Markdown tables. Blocks of calls to all of them alternate, and
each ratio is that of the median times: compare only those.
"""

import ctypes
import os
import statistics
import sys
from pathlib import Path

import grpc
import numpy as np
from turns import alternate, block_of

import actserve
from actserve import _library, _wire
from actserve.testing import ServerProcess
from actserve.v1 import service_pb2

SIZES = [4 << 10, 64 << 10, 1 << 20, 16 << 20]


class Tensor(ctypes.Structure):
    """actserve_tensor of client/c/actserve.h."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("dtype", ctypes.c_int32),
        ("rank", ctypes.c_int32),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
    )


def by_cpp(address, name, x):
    """Returns a call of the C++ client, through the C interface alone."""
    connection = _library.Connection(address, _library.Options(timeout=60))
    forward = connection._library.actserve_forward
    forward.restype = ctypes.c_void_p
    shape = (ctypes.c_int64 * 1)(x.size)
    y = np.zeros_like(x)
    tensors = [
        Tensor(a.__array_interface__["data"][0], 3, 1, shape) for a in (x, y)
    ]
    arguments = (
        connection._client,
        ctypes.c_char_p(name.encode()),
        ctypes.byref(tensors[0]),
        ctypes.c_size_t(1),
        ctypes.byref(tensors[1]),
        None,
    )

    def call():
        assert not forward(*arguments)

    call.keep = connection, y, tensors
    return call


def by_echo(address, x):
    """Returns an echo of the bytes of a request by grpcio alone."""
    channel = grpc.insecure_channel(
        address,
        [
            ("grpc.max_send_message_length", -1),
            ("grpc.max_receive_message_length", -1),
        ],
    )
    method = channel.unary_unary("/actserve.v1.ActivationService/Forward")
    header = service_pb2.ForwardRequest(activation="relu").SerializeToString()
    message = _wire.join_request(header, [x])
    return lambda: method(message)


def medians(calls, rounds=15, block_seconds=0.03):
    """Returns the median seconds of each call, in blocks that alternate."""
    blocks = {n: block_of(call, block_seconds) for n, call in calls.items()}
    times = alternate(blocks, rounds)
    return {name: statistics.median(t) for name, t in times.items()}


def compare_servers(server, echo):
    """Prints the table of calls over a socket."""
    print("| address | bytes | C++ | library | grpcio | library to echo |")
    print("|---|---|---|---|---|---|")
    for kind in ("tcp", "unix"):
        address = server[kind]
        with (
            actserve.connect(address) as library,
            actserve.connect(address, pure=True) as pure,
        ):
            for size in SIZES:
                x = np.random.default_rng(1).standard_normal(
                    size // 4, np.float32
                )
                y = np.empty_like(x)
                t = medians(
                    {
                        "cpp": by_cpp(address, "relu", x),
                        "library": lambda x=x, y=y: library.forward(
                            "relu", x, out=y
                        ),
                        "new": lambda x=x: library.forward("relu", x),
                        "grpcio": lambda x=x: pure.forward("relu", x),
                        "echo": by_echo(echo[kind], x),
                    }
                )
                print(
                    f"| {kind} | {size} | {t['cpp'] * 1e6:.0f} us "
                    f"| {t['cpp'] / t['library']:.2f} with out=, "
                    f"{t['cpp'] / t['new']:.2f} "
                    f"| {t['cpp'] / t['grpcio']:.2f} "
                    f"| {t['echo'] / t['library']:.2f} with out=, "
                    f"{t['echo'] / t['new']:.2f} |",
                    flush=True,
                )


def compare_local():
    """Prints the table of small calls in this process."""
    x = np.random.default_rng(1).standard_normal(256, np.float32)
    y = np.empty_like(x)
    with actserve.connect("local", num_threads=1) as client:
        calls = {
            "forward": lambda: client.forward("silu", x),
            "forward with out=": lambda: client.forward("silu", x, out=y),
            "backward": lambda: client.backward("silu", x, grad_output=x),
            "C interface": by_cpp("local", "silu", x),
        }
        try:
            import torch
        except ImportError:
            print("\n(PyTorch is not installed)")
        else:
            torch.set_num_threads(1)
            tensor = torch.from_numpy(x)
            calls["torch"] = lambda: torch.nn.functional.silu(tensor)
        # Blocks shorter than a turn of the scheduler.
        found = medians(calls, rounds=301, block_seconds=0.001)
    print("\n| silu of 1 KiB, local | us | to torch |")
    print("|---|---|---|")
    for name, seconds in found.items():
        ratio = f"{seconds / found['torch']:.2f}" if "torch" in found else ""
        print(f"| {name} | {seconds * 1e6:.2f} | {ratio} |")


def main():
    """Starts the servers of the build, and measures."""
    root = Path(__file__).resolve().parents[3]
    build = Path(sys.argv[1] if len(sys.argv) > 1 else root / "build/release")
    os.environ.setdefault(
        "ACTSERVE_LIBRARY", str(build / "lib" / "libactserve.so.1")
    )
    addresses = []
    with (
        ServerProcess(build / "bin/actserved") as server,
        ServerProcess(build / "bin/echo_server") as echo,
    ):
        for process in (server, echo):
            addresses.append(
                {"tcp": process.address, "unix": process.unix_address}
            )
        compare_local()
        compare_servers(*addresses)


if __name__ == "__main__":
    main()
