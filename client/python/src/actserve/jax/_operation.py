"""What JAX computes with: operations on the tensors of a Spec."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import jax
import numpy as np

from actserve._arrays.rooms import GRAD_OUTPUT
from actserve._bridge import Evaluator, Spec, evaluator

FORWARD = "forward"
PARTIALS = "partials"
TANGENT = "tangent"
GRADIENT = "gradient"
GRADIENT_OF_GRADIENT = "gradient of gradient"
TANGENT_OF_GRADIENT = "tangent of gradient"
TANGENT_OF_TANGENT = "tangent of tangent"

# What is like the result, among names of variables.
RESULT = GRAD_OUTPUT


@dataclasses.dataclass(frozen=True)
class Operation:
    """A function of arrays: f of a Spec, or something of its derivatives.

    Every operand and every result belongs to a variable of the Spec, whose
    shape and dtype it has, or is like the result y of f. `v` are the variables:

    kind                  operands                results
    forward               v                       y
    partials              v                       y, dy/d(input) each
    tangent               v, dv of `moved`        dy
    gradient              v, dL/dy                dL/dv of `wanted`
    gradient of gradient  v, dL/dy, c of `moved`  d(sum c dL/dv)/dv of `wanted`
    tangent of gradient   v, dL/dy, dv of `moved`  d(dL/dv) of `wanted`
    tangent of tangent    v, dv of `wanted`, dv of `moved`   d(dy)

    `wanted` and `moved` may contain RESULT where dL/dy is an operand. The last
    two are linear in what moves; reverse mode transposes them, and needs no
    values of them. Immutable and hashable.
    """

    kind: str
    spec: Spec
    wanted: tuple[str, ...] = ()
    moved: tuple[str, ...] = ()

    @property
    def evaluator(self) -> Evaluator:
        """What computes the Spec."""
        return evaluator(self.spec)

    def operands(self) -> tuple[str, ...]:
        """Returns what the operands belong to: variables, or RESULT."""
        variables = self.evaluator.variables
        if self.kind in (FORWARD, PARTIALS):
            return variables
        if self.kind == TANGENT:
            return (*variables, *self.moved)
        if self.kind == TANGENT_OF_TANGENT:
            return (*variables, *self.wanted, *self.moved)
        return (*variables, RESULT, *self.moved)

    def results(self) -> tuple[str, ...]:
        """Returns what the results belong to."""
        if self.kind == PARTIALS:
            return (RESULT,) * (1 + len(self.evaluator.inputs))
        if self.kind in (FORWARD, TANGENT, TANGENT_OF_TANGENT):
            return (RESULT,)
        return self.wanted

    def num_linear(self) -> int:
        """Returns in how many of the last operands it is linear."""
        if self.kind == GRADIENT:
            return 0 if self.evaluator.info.declared_gradient else 1
        return len(self.moved)

    def result_types(
        self, operands: Sequence[jax.ShapeDtypeStruct]
    ) -> list[jax.ShapeDtypeStruct]:
        """Returns shape and dtype of the results; asks no server.

        Args:
          operands: Or anything else with shape and dtype.
        """
        of = self.evaluator
        shape = of.result_shape([x.shape for x in operands[: len(of.inputs)]])
        types = {
            name: (x.shape, x.dtype)
            for name, x in zip(of.variables, operands, strict=False)
        }
        types[RESULT] = (shape, operands[0].dtype)
        return [
            jax.ShapeDtypeStruct(tuple(shape), np.dtype(dtype))
            for shape, dtype in (types[name] for name in self.results())
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.evaluator.name}"
