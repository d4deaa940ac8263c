"""A fake server in this process, and the real one in its own."""

import functools
import importlib.util
import os
from concurrent import futures
from pathlib import Path

import grpc
import numpy as np
import pytest

import actserve
from actserve import _library, _tensors
from actserve.testing import ServerProcess
from actserve.v1 import (
    activation_pb2,
    service_pb2,
    service_pb2_grpc,
    status_pb2,
)

ROOT = Path(__file__).resolve().parents[3]


FRAMEWORKS = ("torch", "tensorflow", "keras", "jax")


def is_installed(name):
    """Returns whether a package is installed; a folder of tests is none."""
    spec = importlib.util.find_spec(name)
    return spec is not None and spec.origin is not None


# Each has a folder of tests. Those that must be here are an error if they are
# not.
_missing = [name for name in FRAMEWORKS if not is_installed(name)]
_required = os.environ.get("ACTSERVE_REQUIRED_FRAMEWORKS", "").split()
collect_ignore = [*_missing, "training"] if _missing else []


def pytest_terminal_summary(terminalreporter):
    """Says what was not tested."""
    if _missing:
        names = ", ".join(_missing)
        terminalreporter.write_line(f"not tested, as not installed: {names}")


def pytest_collection_modifyitems(session):
    """Ends a run that would leave out a framework that must be here."""
    paths = [Path(arg.split("::")[0]).name for arg in session.config.args]
    lacking = [name for name in _required if name in _missing and name in paths]
    if lacking:
        pytest.exit(f"required and not installed: {', '.join(lacking)}", 1)


# What was left out as something else is not installed.
_left_out = []


def _note(report):
    if report.skipped and "could not import" in str(report.longrepr):
        _left_out.append(report.nodeid)


pytest_collectreport = pytest_runtest_logreport = _note


def pytest_sessionfinish(session):
    """Fails a run that had to test all, and did not."""
    if _required and _left_out:
        print(f"\nrequired and left out: {', '.join(_left_out)}")
        session.exitstatus = 1


class FakeService(service_pb2_grpc.ActivationServiceServicer):
    """Doubles its first input, whatever the activation; remembers requests.

    `failures` holds (code, reason) to answer the next calls with; `None` lets
    one pass. `pushback` is what they ask a client to wait, in milliseconds;
    `diagnostics` are its remarks on every text.
    `marks_errors` is whether they say, as actserved does, that it answers.
    """

    def __init__(self):
        self.calls = []
        self.failures = []
        self.pushback = None
        self.marks_errors = True
        self.diagnostics = []
        self.residual = b"0123456789abcdef"

    def names(self):
        """Returns the methods called so far."""
        return [
            type(call).__name__.removesuffix("Request") for call in self.calls
        ]

    def _begin(self, request, context):
        self.calls.append(request)
        failure = self.failures.pop(0) if self.failures else None
        if failure is None:
            return
        code, reason, diagnostics = (*failure, None)[:3]
        status = status_pb2.Status(code=code.value[0], message="fake")
        if reason:
            detail = status_pb2.ErrorInfo(reason=reason, domain="actserve")
            status.details.add(
                type_url="type.googleapis.com/google.rpc.ErrorInfo",
                value=detail.SerializeToString(),
            )
        if diagnostics:
            status.details.add().Pack(diagnostics)
        trailers = [("grpc-status-details-bin", status.SerializeToString())]
        if self.marks_errors:
            trailers.append(("actserve-answered", "1"))
        if self.pushback is not None:
            trailers.append(("grpc-retry-pushback-ms", self.pushback))
        context.set_trailing_metadata(trailers)
        context.abort(code, "fake")

    def Forward(self, request, context):  # noqa: N802
        self._begin(request, context)
        x = _tensors.from_proto(
            request.inputs[0], memoryview(request.payload[0])
        )
        response = service_pb2.ForwardResponse(
            output=request.inputs[0], payload=[(x * x.dtype.type(2)).tobytes()]
        )
        for _ in request.partials:
            response.partials.append(request.inputs[0])
            response.payload.append(np.full_like(x, 2).tobytes())
        if request.keep_residual:
            response.residual.handle = self.residual
            response.residual.lease.FromSeconds(60)
        return response

    def Backward(self, request, context):  # noqa: N802
        self._begin(request, context)
        response = service_pb2.BackwardResponse()
        for name in request.wrt or ["x"]:
            if name == "x":
                tensor = (
                    request.grad_output
                    if request.HasField("grad_output")
                    else request.inputs[0]
                )
                response.gradients.add(name=name, tensor=tensor)
                response.payload.append(request.payload[-1])
            else:
                response.gradients.add(name=name, scalar=0.5)
        return response

    def RegisterActivation(self, request, context):  # noqa: N802
        self._begin(request, context)
        return service_pb2.RegisterActivationResponse(
            activation=activation_pb2.Activation(
                id=f"sha256:{len(self.calls)}", inputs=["x"]
            ),
            diagnostics=self.diagnostics,
        )

    def GetActivation(self, request, context):  # noqa: N802
        self._begin(request, context)
        return activation_pb2.Activation(
            name=request.activation,
            inputs=["x"],
            parameters=[activation_pb2.ParameterSpec(name="a")],
        )

    def ListActivations(self, request, context):  # noqa: N802
        self._begin(request, context)
        first = not request.page_token
        return service_pb2.ListActivationsResponse(
            activations=[
                activation_pb2.Activation(
                    name="gelu" if first else "relu",
                    text="def ..." if request.with_texts else "",
                )
            ],
            next_page_token="1" if first else "",
        )

    def ReleaseResiduals(self, request, context):  # noqa: N802
        self._begin(request, context)
        return service_pb2.ReleaseResidualsResponse(
            num_released=len(request.handles)
        )


@pytest.fixture
def service():
    """A FakeService that listens at `service.address`."""
    server = grpc.server(futures.ThreadPoolExecutor(4))
    result = FakeService()
    service_pb2_grpc.add_ActivationServiceServicer_to_server(result, server)
    result.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield result
    server.stop(None).wait()


@pytest.fixture(autouse=True)
def library(monkeypatch):
    """The library of the build, for all tests."""
    if "ACTSERVE_LIBRARY" not in os.environ:
        monkeypatch.setenv("ACTSERVE_LIBRARY", str(built_library()))


@pytest.fixture(params=["pure", "library"])
def connect(request):
    """Connects by grpcio, and by the library."""
    pure = request.param == "pure"
    if not pure and _library.path() is None:
        pytest.fail(f"{built_library()} is missing: run scripts/build")
    return functools.partial(actserve.connect, pure=pure)


@pytest.fixture
def fake(connect, service):
    """A client of the fake server."""
    with connect(service.address, timeout=10) as client:
        yield client


@pytest.fixture
def pausing(service):
    """One by grpcio that notes its pauses and makes none."""
    with actserve.connect(service.address, timeout=10, pure=True) as client:
        client.pauses = []
        client._way._replicas._sleep = client.pauses.append
        yield client


def build_folder():
    """Returns where the programs were built."""
    return Path(os.environ.get("ACTSERVE_BUILD_DIR", ROOT / "build/release"))


def built_library():
    """Returns where the library is, once it was built."""
    return build_folder() / "lib" / "libactserve.so.1"


def server_binary():
    """Returns the path of `actserved`; it must have been built."""
    binary = build_folder() / "bin" / "actserved"
    if not binary.exists():
        pytest.fail(
            f"{binary} is missing: run scripts/build, or deselect the tests "
            f"that need it with -m 'not server'"
        )
    return binary


@pytest.fixture(scope="session")
def shared_server():
    """A server for the whole run; tests must not stop it."""
    with ServerProcess(server_binary()) as process:
        yield process


@pytest.fixture
def server():
    """A server of this test's own."""
    with ServerProcess(server_binary()) as process:
        yield process


@pytest.fixture
def client(connect, shared_server):
    """A client of the shared server."""
    with connect(shared_server.address) as result:
        yield result
