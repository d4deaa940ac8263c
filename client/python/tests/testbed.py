"""What tests share that are no fixtures: a fake server, built programs."""

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest

from actserve import _tensors
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
