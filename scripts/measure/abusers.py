"""Abusive clients of actserve, for scripts/measure/bounds."""

import collections
import contextlib
import dataclasses
import os
import pathlib
import resource
import select
import signal
import socket
import struct
import time
from collections.abc import Callable

import grpc
import http2_peer
from actserve.v1 import service_pb2 as pb
from actserve.v1 import service_pb2_grpc, tensor_pb2

MIB = 1 << 20
PATIENCE = 20.0  # seconds for a server to answer again, or to end
SERVICE = "/actserve.v1.ActivationService/"


@dataclasses.dataclass(frozen=True)
class Target:
    """A server as an abuser sees it."""

    address: str
    pid: int


def rss_mib(pid: int) -> float:
    """Returns 0 if the process ended."""
    try:
        pages = int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * resource.getpagesize() / MIB


def stub_to(address: str) -> service_pb2_grpc.ActivationServiceStub:
    return service_pb2_grpc.ActivationServiceStub(channel_to(address))


def channel_to(address: str) -> grpc.Channel:
    options = [
        ("grpc.max_send_message_length", -1),
        ("grpc.max_receive_message_length", -1),
    ]
    return grpc.insecure_channel(address, options=options)


def forward(size: int, activation: str = "relu", inputs: int = 1, keep=False):
    """Returns a request with `inputs` tensors of `size` bytes each."""
    request = pb.ForwardRequest(activation=activation, keep_residual=keep)
    for _ in range(inputs):
        request.inputs.add(dtype=tensor_pb2.DTYPE_FLOAT32, shape=[size // 4])
        request.payload.append(bytes(size))
    return request


def other_peer(address: str) -> http2_peer.Caller:
    """Returns a connection from another host than the abuser's."""
    return http2_peer.Caller(address, source="127.0.0.2")


def asks_forward(peer: http2_peer.Caller, seconds: float, activation="relu"):
    """Returns whether a Forward of 4 KiB is answered."""
    body = forward(4096, activation).SerializeToString()
    return peer.ask(SERVICE + "Forward", body, seconds) is not None


# Each abuser returns how it ended.


def outcome(calls) -> str:
    """Waits for the calls of a client of gRPC and counts their codes."""
    codes = collections.Counter(call.code().name for call in calls)
    return ", ".join(f"{number} {code}" for code, number in codes.items())


def control_calls(target: Target, method: str, body: bytes, number: int) -> str:
    call = channel_to(target.address).unary_unary(SERVICE + method)
    return outcome([call.future(body, timeout=30) for _ in range(number)])


def release_of_handles(target: Target) -> str:
    return control_calls(target, "ReleaseResiduals", b"\x0a\0" * (32 * MIB), 10)


def unknown_fields(target: Target) -> str:
    return control_calls(target, "GetServerInfo", b"\x0a\0" * (32 * MIB), 10)


def constants(target: Target) -> str:
    body = pb.RegisterActivationRequest(
        text="def f(x):\n    return x\n"
    ).SerializeToString()
    entries = bytearray()
    for number in range(3_500_000):
        entries += b"\x1a\x11\x0a\x06%06x\x11" % (number) + struct.pack("<d", 1)
    return control_calls(target, "RegisterActivation", body + entries, 1)


def unread(target: Target, method: str, body: bytes, number: int) -> str:
    """Calls with a window of 0 for the answers, and hangs up."""
    with http2_peer.Caller(target.address, window=0) as peer:
        for _ in range(number):
            peer.call(SERVICE + method, body)
            peer.is_open(0.06)  # At once, they would wait and be refused.
        return "hung up" if peer.is_open(2) else "closed"


def unread_gradients(target: Target) -> str:
    stub = stub_to(target.address)
    kept = stub.Forward(forward(32 * MIB, keep=True))
    request = pb.BackwardRequest(
        activation="relu", residual=kept.residual.handle
    )
    return unread(target, "Backward", request.SerializeToString(), 98)


def unread_lists(target: Target) -> str:
    stub = stub_to(target.address)
    for number in range(1024):
        register(stub, f"# {'c' * 16200}\ndef f(x):\n    return x + {number}\n")
    request = pb.ListActivationsRequest(page_size=1000, with_texts=True)
    return unread(target, "ListActivations", request.SerializeToString(), 150)


def heavy_text(number: int) -> str:
    """Returns a text whose programs take seconds to compile."""
    steps = "".join(
        f"    if r > {i} * a:\n        r = r * y + {i + 1}e-2 * exp(x)\n"
        for i in range(100)
    )
    return (
        f"def heavy(x, y, a=1.0):\n    r = x\n{steps}    return r + {number}\n"
    )


def register(stub, text: str) -> str:
    request = pb.RegisterActivationRequest(text=text)
    return stub.RegisterActivation(request, timeout=PATIENCE).activation.id


def compile_heavy(stub, number: int, timeout: float = 60) -> list:
    """Asks for `number` programs, up to 10 of a text."""
    names = [["x"], ["y"], ["a"], ["x", "y"], ["x", "a"]]
    dtypes = [tensor_pb2.DTYPE_FLOAT32, tensor_pb2.DTYPE_FLOAT64]
    calls = []
    for i in range(number):
        if i % 10 == 0:
            activation = register(stub, heavy_text(i))
        dtype = dtypes[i % 10 // 5]
        request = pb.BackwardRequest(activation=activation, wrt=names[i % 5])
        for _ in range(2):
            request.inputs.add(dtype=dtype, shape=[1])
            request.payload.append(bytes(4 if dtype == dtypes[0] else 8))
        calls.append(request)
    return [stub.Backward.future(call, timeout=timeout) for call in calls]


def cancel(calls) -> str:
    for call in calls:
        call.cancel()
    return outcome(calls)


def waiting_for_programs(target: Target) -> str:
    stub = stub_to(target.address)
    activation = register(stub, heavy_text(10_000))
    programs = compile_heavy(stub, 240)
    time.sleep(0.5)
    request = forward(28 * MIB, activation, inputs=2)
    waiting = [stub.Forward.future(request, timeout=60) for _ in range(50)]
    time.sleep(8)
    cancel(programs)
    return cancel(waiting)


def unfinished_requests(target: Target) -> str:
    body = bytes(60 * MIB)
    with contextlib.ExitStack() as stack:
        peers = [
            stack.enter_context(http2_peer.Caller(target.address))
            for _ in range(40)
        ]
        sent = sum(
            peer.call(SERVICE + "Forward", body, declared=64 * MIB)
            for peer in peers
        )
        time.sleep(3)
        left = sum(peer.is_open(0) for peer in peers)
    return f"{sent} sent all, {left} open"


def streams(first: int, number: int) -> bytes:
    block = http2_peer.header_block([])
    return b"".join(
        http2_peer.frame(
            http2_peer.HEADERS, http2_peer.END_HEADERS, 2 * i + 1, block
        )
        for i in range(first, first + number)
    )


def headers_alone(target: Target) -> str:
    with http2_peer.Caller(target.address) as peer:
        for first in range(0, 20_000, 100):
            if not peer.send(streams(first, 100)):
                return f"closed after {first} streams"
        return "hung up" if peer.is_open(3) else "closed"


def brief_connections(target: Target) -> str:
    data = http2_peer.PREFACE + streams(0, 900)
    host, _, port = target.address.rpartition(":")
    made = refused = 0
    start = time.monotonic()
    while (passed := time.monotonic() - start) < 10:
        time.sleep(max(0.0, made / 20_000 - passed))
        try:
            with socket.create_connection((host, int(port)), timeout=1) as peer:
                peer.sendall(data)
            made += 1
        except OSError:
            refused += 1
    return f"{made} connections, {refused} refused"


def long_gradients(target: Target) -> str:
    stub = stub_to(target.address)
    inputs = ", ".join(["x", "y", "z", "w", *(f"p{i}=1" for i in range(32))])
    used = " + ".join(["x + y * z * w", *(f"p{i}" for i in range(32))])
    before, start, made = rss_mib(target.pid), time.monotonic(), 0
    codes: collections.Counter[str] = collections.Counter()
    while made < 120 and time.monotonic() - start < 25:
        text = (
            f"def f({inputs}):\n    r = {used}\n    for i in range(850):\n"
            f"        r = sqrt(r)\n    return r + {made}\n"
        )
        request = pb.RegisterActivationRequest(text=text)
        codes[
            stub.RegisterActivation.future(request, timeout=30).code().name
        ] += 1
        made += 1
    each = (rss_mib(target.pid) - before) / made
    ended = ", ".join(f"{number} {code}" for code, number in codes.items())
    return f"{ended}; {each:.2f} MiB each"


def small_frames(target: Target) -> str:
    body = forward(256 << 10, keep=True).SerializeToString()
    with http2_peer.Caller(target.address, window=MIB) as peer:
        sent = sum(
            peer.call(SERVICE + "Forward", body, frame_bytes=24)
            for _ in range(200)
        )
        kept = f"{sent} sent all"
        return kept if peer.is_open(1) else f"{kept}, closed"


def compile_storm(target: Target) -> str:
    storm = compile_heavy(stub_to(target.address), 600)
    time.sleep(1)

    def new_text(number: int) -> str:
        start = time.monotonic()
        text = f"def f(x):\n    return x + {number}\n"
        body = pb.RegisterActivationRequest(text=text).SerializeToString()
        with other_peer(target.address) as peer:
            answer = peer.ask(SERVICE + "RegisterActivation", body, PATIENCE)
            message = pb.RegisterActivationResponse.FromString(answer or b"")
            served = asks_forward(peer, PATIENCE, message.activation.id)
        seconds = f"{time.monotonic() - start:.2f} s"
        return seconds if served else f"refused after {seconds}"

    during = new_text(1)
    ended = cancel(storm)
    return f"{ended}; other's new text: {during}, after that {new_text(2)}"


def idle_connections(target: Target) -> str:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    host, _, port = target.address.rpartition(":")
    with contextlib.ExitStack() as stack:
        for _ in range(1084):
            peer = socket.create_connection((host, int(port)), timeout=5)
            stack.enter_context(peer)
            peer.sendall(http2_peer.PREFACE)
        time.sleep(2)
    return "hung up"


def sigterm(target: Target) -> str:
    calls = compile_heavy(stub_to(target.address), 168)
    time.sleep(0.5)
    end = os.pidfd_open(target.pid)
    start = time.monotonic()
    os.kill(target.pid, signal.SIGTERM)
    if not select.select([end], [], [], PATIENCE)[0]:
        return f"runs after {PATIENCE:.0f} s"
    return f"exit after {time.monotonic() - start:.1f} s; {outcome(calls)}"


def attempt(abuse: Callable[[Target], str], target: Target) -> str:
    try:
        return abuse(target)
    except grpc.RpcError as error:
        return error.code().name
    except OSError as error:
        return type(error).__name__


@dataclasses.dataclass(frozen=True)
class Row:
    what: str
    abuse: Callable[[Target], str]
    flags: tuple[str, ...] = ()
    max_files: int = 20_000
    ends_server: bool = False


ROWS = [
    Row("10 `ReleaseResiduals` of 64 MiB: empty handles", release_of_handles),
    Row("10 `GetServerInfo` of 64 MiB: unknown fields", unknown_fields),
    Row("a registration with 3.5 M constants", constants),
    Row("98 `Backward` of 32 MiB, answers not read", unread_gradients),
    Row("150 `ListActivations` of 16 MiB, answers not read", unread_lists),
    Row("50 requests of 56 MiB that wait for programs", waiting_for_programs),
    Row("40 requests that stop after 60 of 64 MiB", unfinished_requests),
    Row("20,000 calls without a message, 1 connection", headers_alone),
    Row("connections of 900 calls that hang up, 10 s", brief_connections),
    Row("120 registrations of 36 long gradients in 25 s", long_gradients),
    Row("200 residuals of 256 KiB in frames of 24 bytes", small_frames),
    Row("600 heavy programs, then cancelled", compile_storm),
    Row("1,084 idle connections, 1,024 files", idle_connections, (), 1024),
    Row(
        "SIGTERM, 168 compilations wait, `--drain_timeout=2s`",
        *(sigterm, ("--drain_timeout=2s",), 20_000, True),
    ),
]
