"""The `def` of a function, as it stands in its file."""

from __future__ import annotations

import ast
import inspect
import math
import numbers
import types
from collections.abc import Mapping
from typing import Any

import grpc

from actserve._errors import ActivationError, Diagnostic


def definition(
    function: types.FunctionType,
) -> tuple[str, ast.FunctionDef]:
    """Returns the `def` of `function` without decorators: text and tree."""
    name = getattr(function, "__name__", type(function).__name__)
    if not isinstance(function, types.FunctionType):
        raise TypeError(
            f"{name} is a {type(function).__name__}; an activation is made "
            f"from a plain function or from text"
        )
    if hasattr(function, "__wrapped__"):
        raise TypeError(
            f"{name} is wrapped by another decorator, which its text would "
            f"not show; decorate the plain function"
        )
    if name == "<lambda>":
        raise TypeError("a lambda has no name; write `def name(x): return ...`")
    try:
        source = inspect.getsource(function)
    except (OSError, TypeError):
        raise _invalid_message(
            f"the source of {name} is not available (typed at a prompt?); "
            f"give its text: actserve.activation('''def {name}(x): ...''')"
        ) from None
    source = _dedent(source)
    try:
        node = ast.parse(source).body[0]
    except SyntaxError as error:
        raise _invalid_message(
            f"the source of {name} does not parse alone: {error}"
        ) from None
    if not isinstance(node, ast.FunctionDef):
        raise TypeError(f"{name} is not a plain `def`")
    lines = source.split("\n")[node.lineno - 1 : node.end_lineno]
    return "\n".join(lines) + "\n", node


def _dedent(source: str) -> str:
    """Returns `source` with the margin of its first line taken off each line.

    Comments and continuation lines may stand left of it, so textwrap.dedent
    would leave some.
    """
    margin = source[: len(source) - len(source.lstrip(" \t"))]
    if not margin:
        return source
    return "\n".join(
        line[len(margin) :] if line.startswith(margin) else line.lstrip(" \t")
        for line in source.split("\n")
    )


def with_literal_defaults(
    source: str, node: ast.FunctionDef, function: types.FunctionType
) -> tuple[str, list[Diagnostic]]:
    """Returns `source` with each default that is not a literal as its value."""
    arguments = node.args
    positional = arguments.posonlyargs + arguments.args
    with_default = positional[len(positional) - len(arguments.defaults) :]
    values: list[tuple[str, ast.expr, Any]] = [
        (argument.arg, default, value)
        for argument, default, value in zip(
            with_default,
            arguments.defaults,
            function.__defaults__ or (),
            strict=True,
        )
    ]
    keyword_values: Mapping[str, Any] = function.__kwdefaults__ or {}
    values += [
        (argument.arg, keyword_default, keyword_values.get(argument.arg))
        for argument, keyword_default in zip(
            arguments.kwonlyargs, arguments.kw_defaults, strict=True
        )
        if keyword_default is not None
    ]

    # Positions of ast are in bytes.
    starts = [0]
    for line in source.encode().split(b"\n"):
        starts.append(starts[-1] + len(line) + 1)
    text = source.encode()
    errors: list[Diagnostic] = []
    for name, default, value in reversed(values):
        if _is_literal(default):
            continue
        line = default.lineno - node.lineno
        if (
            isinstance(value, bool)
            or not isinstance(value, numbers.Real)
            or not math.isfinite(value)
        ):
            message = f"the default of {name} is {value!r}, not a finite number"
            errors.append(
                Diagnostic("error", line + 1, default.col_offset + 1, message)
            )
            continue
        last = (default.end_lineno or default.lineno) - node.lineno
        start = starts[line] + default.col_offset
        end = starts[last] + (default.end_col_offset or 0)
        text = text[:start] + repr(float(value)).encode() + text[end:]
    return text.decode(), errors


def _is_literal(node: ast.expr) -> bool:
    """Returns whether `node` is 1, -1.5, None ..., not a formula or a name."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        node = node.operand
    return isinstance(node, ast.Constant)


def _invalid_message(message: str) -> ActivationError:
    return ActivationError(grpc.StatusCode.INVALID_ARGUMENT, message)
