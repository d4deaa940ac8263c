"""A server's straight-line program as NumPy operations.

For a trainer whose server is away and who has no library here. Slow: every
operation is a pass over memory, and some are Python loops.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from actserve._calls import Array


class UnsupportedProgramError(Exception):
    """A program with an operation that is not had here."""


class Program:
    """A program of ActivationInfo: `def`, one operation a line, `return`.

    Computes in float64. Thread-safe.

    Args:
      text: ActivationInfo.program, or one of its gradients.

    Raises:
      UnsupportedProgramError: It has an operation that is not had here, or is
        cut.
    """

    def __init__(self, text: str):
        try:
            (function,) = ast.parse(text).body
        except (SyntaxError, ValueError) as error:
            raise UnsupportedProgramError(f"no program: {error}") from None
        if not isinstance(function, ast.FunctionDef) or "# cut" in text:
            raise UnsupportedProgramError("the program is cut")
        *steps, last = function.body
        self._steps: list[tuple[str, _Term]] = []
        for step in steps:
            if not isinstance(step, ast.Assign) or not isinstance(
                step.targets[0], ast.Name
            ):
                raise UnsupportedProgramError(ast.unparse(step))
            self._steps.append((step.targets[0].id, _term(step.value)))
        if not isinstance(last, ast.Return) or last.value is None:
            raise UnsupportedProgramError(ast.unparse(last))
        self._result = _term(last.value)

    def __call__(
        self, values: Mapping[str, Any], axis: int | None = None
    ) -> Array:
        """Returns the result for values of all arguments, by name.

        Args:
          values: float64 arrays that broadcast together, and numbers.
          axis: The axis along which rows run; negative: from the last.
        """
        known: dict[Any, Any] = dict(values)
        known[_ROWS_OF] = (
            axis,
            np.broadcast_shapes(*map(np.shape, values.values())),
        )
        with np.errstate(all="ignore"):
            for name, term in self._steps:
                known[name] = term(known)
            return np.asarray(self._result(known), np.float64)


_Term = Callable[[Mapping[Any, Any]], Any]
# Among the values, the axis of rows and the shape of the tensors.
_ROWS_OF = object()


def _term(node: ast.expr) -> _Term:
    """Returns the function of the values that `node` is."""
    if isinstance(node, ast.Name):
        name = node.id
        return lambda known: known[name]
    if isinstance(node, ast.Constant):
        value = node.value
        return lambda known: value
    if isinstance(node, ast.Attribute) and ast.unparse(node) in _NUMBERS:
        number = _NUMBERS[ast.unparse(node)]
        return lambda known: number
    if isinstance(node, ast.IfExp):
        return _apply(np.where, node.test, node.body, node.orelse)
    if isinstance(node, ast.BinOp):
        return _apply(_of(_OPERATORS, node.op), node.left, node.right)
    if isinstance(node, ast.UnaryOp):
        return _apply(_of(_OPERATORS, node.op), node.operand)
    if isinstance(node, ast.BoolOp):
        return _apply(_of(_OPERATORS, node.op), *node.values)
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        return _apply(
            _of(_OPERATORS, node.ops[0]), node.left, *node.comparators
        )
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        name = node.func.id
        if name in _ROWS:
            return _row(_ROWS[name], *node.args)
        if name in _FUNCTIONS:
            return _apply(_FUNCTIONS[name], *node.args)
    raise UnsupportedProgramError(ast.unparse(node))


def _apply(function: Callable[..., Any], *arguments: ast.expr) -> _Term:
    terms = [_term(argument) for argument in arguments]
    return lambda known: function(*(term(known) for term in terms))


def _row(function: Callable[..., Any], argument: ast.expr) -> _Term:
    term = _term(argument)

    def run(known: Mapping[Any, Any]) -> Any:
        axis, shape = known[_ROWS_OF]
        # A value that is equal along the row counts for each element.
        return function(np.broadcast_to(term(known), shape), axis)

    return run


def _of(table: Mapping[type, Callable[..., Any]], node: ast.AST) -> Any:
    try:
        return table[type(node)]
    except KeyError:
        raise UnsupportedProgramError(type(node).__name__) from None


def _vectorized(function: Callable[[float], float]) -> Callable[..., Any]:
    many = np.frompyfunc(function, 1, 1)
    return lambda x: np.asarray(many(x), np.float64)


_erf = _vectorized(math.erf)
_erfc = _vectorized(math.erfc)
_SQRT_HALF = math.sqrt(0.5)
_SQRT_TAU = math.sqrt(2 * math.pi)
_GELU_TANH = math.sqrt(2 / math.pi)


def _sigmoid(x: Any) -> Any:
    q = np.exp(-np.abs(x))
    return np.where(x < 0, q, 1) / (1 + q)


def _sigmoid_grad(x: Any) -> Any:
    q = np.exp(-np.abs(x))
    return q / (1 + q) ** 2


def _sech2(x: Any) -> Any:
    return 4 * _sigmoid_grad(2 * x)


def _softplus(x: Any) -> Any:
    return np.logaddexp(0, x)


def _normpdf(x: Any) -> Any:
    return np.exp(-0.5 * np.square(x)) / _SQRT_TAU


def _normcdf(x: Any) -> Any:
    return 0.5 * _erfc(-x * _SQRT_HALF)


def _times(x: Any, factor: Any) -> Any:
    """X * factor, which is 0 where the factor is, whatever x."""
    return np.where(factor == 0, 0 * np.sign(x), x * factor)


def _silu(x: Any) -> Any:
    return _times(x, _sigmoid(x))


def _silu_grad(x: Any) -> Any:
    return _sigmoid(x) + _times(x, _sigmoid_grad(x))


def _gelu(x: Any) -> Any:
    return _times(x, _normcdf(x))


def _gelu_grad(x: Any) -> Any:
    return _normcdf(x) + _times(x, _normpdf(x))


def _gelu_tanh_inner(x: Any) -> Any:
    return 2 * _GELU_TANH * (x + 0.044715 * x**3)


def _gelu_tanh(x: Any) -> Any:
    return _times(x, _sigmoid(_gelu_tanh_inner(x)))


def _gelu_tanh_grad(x: Any) -> Any:
    inner = _gelu_tanh_inner(x)
    slope = 2 * _GELU_TANH * (1 + 3 * 0.044715 * x**2)
    return _sigmoid(inner) + _times(x * slope, _sigmoid_grad(inner))


def _mish(x: Any) -> Any:
    return _times(x, np.tanh(_softplus(x)))


def _mish_grad(x: Any) -> Any:
    softplus = _softplus(x)
    return np.tanh(softplus) + _times(x, _sech2(softplus) * _sigmoid(x))


def _row_max(x: Array, axis: int) -> Array:
    y: Array = x.max(axis, keepdims=True, initial=-math.inf)
    return y


def _row_index(x: Array, axis: int) -> Array:
    shape = [1] * x.ndim
    shape[axis] = x.shape[axis]
    return np.arange(x.shape[axis], dtype=np.float64).reshape(shape)


_NUMBERS = {"math.inf": math.inf, "math.nan": math.nan}
_OPERATORS: dict[type, Callable[..., Any]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.Mod: np.mod,
    ast.FloorDiv: np.floor_divide,
    ast.Pow: np.power,
    ast.USub: np.negative,
    ast.Not: np.logical_not,
    ast.And: np.logical_and,
    ast.Or: np.logical_or,
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
    ast.Eq: np.equal,
    ast.NotEq: np.not_equal,
}

# The functions of kernels/graph/op.cc that no sign spells, by name.
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": np.abs,
    "floor": np.floor,
    "ceil": np.ceil,
    "round": np.rint,
    "trunc": np.trunc,
    "sign": np.sign,
    "sqrt": np.sqrt,
    "min": np.minimum,
    "max": np.maximum,
    "floormod1": lambda x: np.mod(x, 1),
    "fmod": np.fmod,
    "exp": np.exp,
    "exp2": np.exp2,
    "expm1": np.expm1,
    "log": np.log,
    "log2": np.log2,
    "log10": np.log10,
    "log1p": np.log1p,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "erf": _erf,
    "erfc": _erfc,
    "atan2": np.arctan2,
    "sigmoid": _sigmoid,
    "sigmoid_grad": _sigmoid_grad,
    "softplus": _softplus,
    "logsigmoid": lambda x: -_softplus(-x),
    "sech2": _sech2,
    "tanhshrink": lambda x: x - np.tanh(x),
    "normcdf": _normcdf,
    "normpdf": _normpdf,
    "exp_minus_square": lambda x: np.exp(-np.square(x)),
    "silu": _silu,
    "silu_grad": _silu_grad,
    "scaled_silu": lambda a, b: _times(a, _sigmoid(b * a)),
    "scaled_silu_grad": lambda a, b: (
        _sigmoid(b * a) + _times(b * a, _sigmoid_grad(b * a))
    ),
    "gelu": _gelu,
    "gelu_grad": _gelu_grad,
    "gelu_tanh": _gelu_tanh,
    "gelu_tanh_grad": _gelu_tanh_grad,
    "mish": _mish,
    "mish_grad": _mish_grad,
}
_ROWS: dict[str, Callable[[Array, int], Any]] = {
    "rowsum": lambda x, axis: x.sum(axis, keepdims=True),
    "rowmax": _row_max,
    "rowsize": lambda x, axis: x.shape[axis],
    "rowindex": _row_index,
}
