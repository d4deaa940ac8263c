"""The `def` of a function, as it stands in its file."""

from __future__ import annotations

import ast
import functools
import inspect
import math
import numbers
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import grpc

from actserve._errors import ActivationError, Diagnostic
from actserve._source.places import Place

_LAMBDA = "<lambda>"


@dataclass(frozen=True)
class Definition:
    """A function as text that stands alone.

    Attributes:
      name: That of its `def`; of a lambda, the one that it is assigned to.
      text: The `def` without decorators and margin.
      node: The tree of `text`.
      places: For each line of `text`, where it stands in the author's file.
    """

    name: str
    text: str
    node: ast.FunctionDef
    places: tuple[Place, ...]


def definition(
    function: types.FunctionType, name: str | None = None
) -> Definition:
    """Returns the definition of `function`.

    Args:
      function: A plain function, or a lambda of one expression.
      name: What a lambda is called; None: what it is assigned to, or "f".

    Raises:
      TypeError: It is no plain function.
      ActivationError: INVALID_ARGUMENT, its source cannot be found, or is not
        what Python runs.
    """
    own_name = getattr(function, "__name__", type(function).__name__)
    if not isinstance(function, types.FunctionType):
        raise TypeError(
            f"{own_name} is a {type(function).__name__}; an activation is made "
            f"from a plain function or from text"
        )
    if hasattr(function, "__wrapped__"):
        raise TypeError(
            f"{own_name} is wrapped by another decorator, which its text would "
            f"not show; decorate the plain function"
        )
    if function.__code__.co_flags & (
        inspect.CO_COROUTINE | inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR
    ):
        raise TypeError(f"{own_name} is not a plain `def`")
    try:
        lines, _ = inspect.findsource(function)
    except (OSError, TypeError, IndexError):
        raise _no_source(own_name) from None
    file = function.__code__.co_filename
    source = "".join(lines)
    try:
        tree = _tree(source)
    except SyntaxError as error:
        raise _invalid(
            f"the source of {own_name}, {file}, does not parse: {error}"
        ) from None
    node = _find(tree, function)
    if node is None or not _is_current(source, file, function):
        raise _invalid(
            f"the source of {own_name} in {file} is not what Python runs: it "
            f"was edited since, or something rewrote it; import it again, or "
            f"give its text: actserve.activation('''def ...''')"
        )
    if isinstance(node, ast.Lambda):
        found = _of_lambda(node, source, name or _assigned_name(tree, node))
    else:
        found = _of_def(node, lines)
    name, text, places = found
    return Definition(
        name,
        text,
        _function_def(text),
        tuple(Place(file, line, column) for line, column in places),
    )


# A name, a text, and for each of its lines the line and the margin in the file.
_Found = tuple[str, str, list[tuple[int, int]]]


def _of_def(node: ast.FunctionDef, lines: list[str]) -> _Found:
    own = [
        line.rstrip("\n") for line in lines[node.lineno - 1 : node.end_lineno]
    ]
    margin = own[0][: len(own[0]) - len(own[0].lstrip(" \t"))]
    # Comments and continuation lines may stand left of the margin.
    dedented = [
        line[len(margin) :] if line.startswith(margin) else line.lstrip(" \t")
        for line in own
    ]
    places = [
        (node.lineno + i, len(line) - len(short))
        for i, (line, short) in enumerate(zip(own, dedented, strict=True))
    ]
    return node.name, "\n".join(dedented) + "\n", places


def _of_lambda(node: ast.Lambda, source: str, name: str) -> _Found:
    head = f"def {name}({ast.unparse(node.args)}):"
    begin = "    return ("
    body = ast.get_source_segment(source, node.body) or ""
    count = body.count("\n")
    line = node.body.lineno
    places = [(node.lineno, 0), (line, node.body.col_offset - len(begin))]
    places += [(line + 1 + i, 0) for i in range(count)]
    return name, f"{head}\n{begin}{body})\n", places


def _function_def(text: str) -> ast.FunctionDef:
    node = ast.parse(text).body[0]
    assert isinstance(node, ast.FunctionDef)
    return node


@functools.lru_cache(maxsize=4)
def _tree(source: str) -> ast.Module:
    return ast.parse(source)


def _find(
    tree: ast.Module, function: types.FunctionType
) -> ast.FunctionDef | ast.Lambda | None:
    """Returns the node of `function`; None if there is none where it was."""
    code = function.__code__
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == code.co_name:
            first = min(
                [node.lineno, *(part.lineno for part in node.decorator_list)]
            )
            if first == code.co_firstlineno:
                return node
        elif (
            isinstance(node, ast.Lambda)
            and code.co_name == _LAMBDA
            and node.lineno == code.co_firstlineno
        ):
            found.append(node)
    if len(found) > 1:  # lambdas of one line
        found = [node for node in found if _holds(node, code)]
        # A lambda around that of `code` holds its places too.
        found.sort(key=lambda node: (node.lineno, node.col_offset))
    return found[-1] if found else None


def _holds(node: ast.Lambda, code: types.CodeType) -> bool:
    """Returns whether all places of `code` are in the body of the lambda."""
    positions = getattr(code, "co_positions", None)  # from Python 3.11
    if positions is None:
        return False
    begin = (node.body.lineno, node.body.col_offset)
    end = (node.body.end_lineno, node.body.end_col_offset)
    places = [p for p in positions() if None not in p and p[3] > p[2]]
    return bool(places) and all(
        begin <= (line, column) and (end_line, end_column) <= end
        for line, end_line, column, end_column in places
    )


def _assigned_name(tree: ast.Module, node: ast.Lambda) -> str:
    for part in ast.walk(tree):
        if isinstance(part, ast.Assign) and part.value is node:
            target = part.targets[0]
            if isinstance(target, ast.Name):
                return target.id
    return "f"


def _is_current(source: str, file: str, function: types.FunctionType) -> bool:
    """Returns whether Python makes the same code of `source` now."""
    code = function.__code__
    return any(
        _same(other, code)
        for other in _codes(source, file)
        if other.co_name == code.co_name
        and other.co_firstlineno == code.co_firstlineno
    )


@functools.lru_cache(maxsize=4)
def _codes(source: str, file: str) -> list[types.CodeType]:
    """Returns the code of every function in `source`."""
    todo = [compile(source, file, "exec", dont_inherit=True)]
    for code in todo:  # which grows
        todo += [c for c in code.co_consts if isinstance(c, types.CodeType)]
    return todo


def _same(one: types.CodeType, other: types.CodeType) -> bool:
    return (
        one.co_code == other.co_code
        and one.co_names == other.co_names
        and list(_constants(one)) == list(_constants(other))
    )


def _constants(code: types.CodeType) -> Iterator[str]:
    for constant in code.co_consts:
        # repr tells 1 from 1.0 and True, and knows NaN.
        is_code = isinstance(constant, types.CodeType)
        yield constant.co_name if is_code else repr(constant)


def _no_source(name: str) -> ActivationError:
    own = "f" if name == _LAMBDA else name
    return _invalid(
        f"the source of {name} is not available (typed at a prompt?); "
        f"give its text: actserve.activation('''def {own}(x): ...''')"
    )


def with_literal_defaults(
    found: Definition, function: types.FunctionType
) -> tuple[str, list[Diagnostic]]:
    """Returns the text with each default that is not a literal as its value."""
    source, node = found.text, found.node
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


def _invalid(message: str) -> ActivationError:
    return ActivationError(grpc.StatusCode.INVALID_ARGUMENT, message)
