"""What tesseract-runtime serves: silu and its gradient."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from tesseract_core.runtime import Array, Differentiable, Float32

from peers import silu


class InputSchema(BaseModel):  # type: ignore[misc]
    """What goes in."""

    x: Differentiable[Array[(None,), Float32]]


class OutputSchema(BaseModel):  # type: ignore[misc]
    """What comes out."""

    y: Differentiable[Array[(None,), Float32]]


def apply(inputs: Any) -> Any:
    """Returns y."""
    return OutputSchema(y=silu.forward(inputs.x))


def vector_jacobian_product(
    inputs: Any, vjp_inputs: Any, vjp_outputs: Any, cotangent_vector: Any
) -> Any:
    """Returns dL/dx."""
    return {"x": silu.step(inputs.x, cotangent_vector["y"])[1]}
