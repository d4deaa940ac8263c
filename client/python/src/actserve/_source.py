"""A Python function's own source as the text of an activation.

Names from outside the function are resolved or refused here, where the function
is written, and not at the first call. Numbers become constants. Functions
become helpers in front of it. Modules and their functions become import lines,
which the language reads as names and never executes. A function that Python
does not know (`sigmoid`) may belong to the language: the server decides.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import math
import numbers
import sys
import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np

from actserve._errors import ActivationError, Diagnostic

# Names that the language knows without an import line: name -> package. `np`
# for jax.numpy would change the meaning of the text, so it gets an import line.
_KNOWN_ALIASES = {
    "math": {"math"},
    "np": {"numpy"},
    "numpy": {"numpy"},
    "cp": {"cupy"},
    "tf": {"tensorflow"},
    "tensorflow": {"tensorflow"},
    "K": {"keras", "tensorflow"},
    "keras": {"keras", "tensorflow"},
    "torch": {"torch"},
    "F": {"torch"},
    "jax": {"jax"},
    "jnp": {"jax"},
}

# Modules whose functions the language knows: the tables, then the aliases, of
# kernels/lang/desugar/synonyms.cc, which a test compares.
_KNOWN_MODULES = (
    "math",
    "random",
    "numpy",
    "scipy.special",
    "tensorflow",
    "tensorflow.math",
    "tensorflow.nn",
    "keras.backend",
    "keras.activations",
    "keras.ops",
    "torch",
    "torch.nn.functional",
    "torch.special",
    "jax.numpy",
    "jax.nn",
    "jax.lax",
    "jax.scipy.special",
    "cupy",
    "numpy.random",
    "cupy.random",
    "tensorflow.random",
    "keras.random",
    "jax.random",
    "cupyx.scipy.special",
    "tensorflow.compat.v1",
    "tensorflow.compat.v2",
    "tensorflow.keras.backend",
    "tensorflow.keras.activations",
    "tensorflow.keras.ops",
)
_PACKAGES = {module.partition(".")[0] for module in _KNOWN_MODULES}

# The named numbers of kernels/lang/vocabulary.cc, likewise.
_LANGUAGE_NUMBERS = {
    "e": math.e,
    "inf": math.inf,
    "nan": math.nan,
    "pi": math.pi,
    "tau": math.tau,
}


@dataclass
class Collected:
    """A text that needs nothing else but its constants."""

    imports: list[str] = field(default_factory=list)
    # In order: helpers, then the function itself.
    texts: list[str] = field(default_factory=list)
    constants: dict[str, float] = field(default_factory=dict)

    def text(self) -> str:
        """Returns all texts as one."""
        parts = ["\n".join(self.imports) + "\n"] if self.imports else []
        return "\n\n".join(parts + self.texts)

    def add_import(self, line: str) -> None:
        """Adds an import line unless it is there."""
        if line not in self.imports:
            self.imports.append(line)

    def add_text(self, text: str) -> None:
        """Adds `text` unless it is there."""
        if text not in self.texts:
            self.texts.append(text)

    def bind(self, name: str, value: float) -> str | None:
        """Binds a constant. Returns why that is impossible, or None."""
        if self.constants.setdefault(name, value) != value:
            return (
                f"{name} is {self.constants[name]!r} in one function and "
                f"{value!r} in another"
            )
        return None


def collect(function: types.FunctionType, into: Collected) -> None:
    """Adds the text of `function`, after its helpers and constants.

    Raises:
      TypeError: `function` is not a plain function.
      ActivationError: INVALID_ARGUMENT, its source cannot be found, or uses
        names from outside that are neither numbers nor functions; all of them
        are in `diagnostics`.
    """
    _Collector(into).add(function)


def function_name(text: str) -> str | None:
    """Returns the name of the activation in `text`; None if Python cannot tell.

    That is the last `def` which is not the gradient of another.
    """
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    names = [node.name for node in body if isinstance(node, ast.FunctionDef)]
    mains = [
        name
        for name in names
        if not (name.endswith("_grad") and name.removesuffix("_grad") in names)
    ]
    return mains[-1] if mains else None


class _Collector:
    """Follows functions from one to those that it calls."""

    def __init__(self, into: Collected):
        self._into = into
        self._seen: dict[str, Any] = {}

    def add(self, function: types.FunctionType) -> None:
        source, node = _definition(function)
        name = function.__name__
        self._seen[name] = function
        errors: list[Diagnostic] = []
        for use in _outside_names(node):
            message = self._resolve(function, use)
            if message is not None:
                line = use.node.lineno - node.lineno + 1
                column = use.node.col_offset + 1
                errors.append(Diagnostic("error", line, column, message))
        text, default_errors = _with_literal_defaults(source, node, function)
        errors += default_errors
        if errors:
            raise _invalid(name, errors)
        self._into.add_text(text)

    def _resolve(self, function: types.FunctionType, use: _Use) -> str | None:
        """Adds the meaning of `use` to the text. Returns why not, or None."""
        name = use.node.id
        if name == function.__name__:
            return None  # Recursion is the server's to refuse.
        try:
            value = _lookup(function, name)
        except LookupError:
            # Primitives and prefixes exist in the language alone.
            if use.is_called or use.is_prefix or name in _LANGUAGE_NUMBERS:
                return None
            return (
                f"{name} is not defined; make it an argument with a default, "
                f"or define it above the function"
            )
        if hasattr(builtins, name) and value is getattr(builtins, name):
            return None
        if isinstance(value, types.ModuleType):
            return self._add_module(name, value)
        if isinstance(value, numbers.Real) and not isinstance(value, bool):
            return self._bind(name, value)
        if callable(value):
            return self._add_callable(name, value)
        return (
            f"{name} is a {type(value).__name__}; only finite numbers and "
            f"functions can be used from outside"
        )

    def _bind(self, name: str, value: numbers.Real) -> str | None:
        try:
            number = float(value)
        except OverflowError:
            return f"{name} is beyond the largest float64"
        known = _LANGUAGE_NUMBERS.get(name)
        if known is not None and (
            number == known or (math.isnan(number) and math.isnan(known))
        ):
            return None
        if not math.isfinite(number):
            return f"{name} is {number}; write inf or nan in the text"
        return self._into.bind(name, number)

    def _add_module(self, name: str, module: types.ModuleType) -> str | None:
        path = module.__name__
        package = path.partition(".")[0]
        if package not in _PACKAGES:
            return (
                f"{name} is the module {path}, which the activation language "
                f"does not have; only numbers and functions can be taken along"
            )
        if package not in _KNOWN_ALIASES.get(name, ()):
            self._into.add_import(f"import {path} as {name}")
        return None

    def _add_callable(self, name: str, value: Any) -> str | None:
        own_name = getattr(value, "__name__", None)
        helper = getattr(value, "helper_text", None)
        if isinstance(helper, Collected):  # An Activation.
            own_name = value.name
        elif isinstance(own_name, str):
            home = _home(own_name, value)
            if home is not None:
                alias = "" if name == own_name else f" as {name}"
                self._into.add_import(f"from {home} import {own_name}{alias}")
                return None
        if isinstance(own_name, str) and own_name != name:
            return f"{name} is another name for {own_name}; call it {own_name}"
        if self._seen.get(name, value) is not value:
            return f"{name} is a function here and another one in a helper"
        if isinstance(helper, Collected):
            self._seen[name] = value
            return self._add_activation(name, helper, value.derivative)
        return self._add_function(name, value)

    def _add_activation(
        self, name: str, helper: Collected, derivative: str
    ) -> str | None:
        if derivative:
            return (
                f"{name} has a derivative of its own; write it as {name}_grad "
                f"in one text with {name}"
            )
        for text in helper.texts:
            self._into.add_text(text)
        conflicts = [
            self._into.bind(*constant) for constant in helper.constants.items()
        ]
        return next(filter(None, conflicts), None)

    def _add_function(self, name: str, value: Any) -> str | None:
        module = getattr(value, "__module__", None) or type(value).__module__
        package = module.partition(".")[0]
        if package == "scipy" or isinstance(value, np.ufunc):
            return None  # Its special functions have the language's names.
        if package in _PACKAGES:
            return (
                f"{name} comes from {module}, which the activation language "
                f"does not have; write its formula"
            )
        if not isinstance(value, types.FunctionType):
            return (
                f"{name} is a {type(value).__name__}; only plain functions "
                f"can be taken along"
            )
        if name not in self._seen:
            self.add(value)
        return None


@dataclass(frozen=True)
class _Use:
    """The first place where a function reads a name from outside."""

    node: ast.Name
    is_called: bool
    is_prefix: bool


def _definition(
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


def _outside_names(node: ast.FunctionDef) -> list[_Use]:
    """Returns the names that the body reads but does not assign, once each."""
    body = [part for part in ast.walk(node) if part is not node]
    local = {part.arg for part in body if isinstance(part, ast.arg)}
    called: set[int] = set()
    prefixes: set[int] = set()
    names: list[ast.Name] = []
    ignored = _outside_body(node)
    for part in body:
        if isinstance(part, ast.Call):
            called.add(id(part.func))
        elif isinstance(part, ast.Attribute):
            prefixes.add(id(part.value))
        elif isinstance(part, ast.FunctionDef):
            local.add(part.name)
        elif isinstance(part, ast.Name) and id(part) not in ignored:
            if isinstance(part.ctx, ast.Load):
                names.append(part)
            else:
                local.add(part.id)
    names.sort(key=lambda name: (name.lineno, name.col_offset))
    # Imports inside the text are read by the server.
    for part in body:
        if isinstance(part, (ast.Import, ast.ImportFrom)):
            local |= {
                (alias.asname or alias.name).partition(".")[0]
                for alias in part.names
            }
    uses: dict[str, _Use] = {}
    for name in names:
        if name.id in local:
            continue
        use = _Use(name, id(name) in called, id(name) in prefixes)
        known = uses.get(name.id)
        # A bare read asks more than a call.
        if known is None or (
            (known.is_called or known.is_prefix)
            and not (use.is_called or use.is_prefix)
        ):
            uses[name.id] = use
    return list(uses.values())


def _outside_body(node: ast.FunctionDef) -> set[int]:
    """Returns the ids of the nodes that are evaluated outside the body."""
    outer: list[ast.AST | None] = [
        *node.decorator_list,
        *node.args.defaults,
        *node.args.kw_defaults,
    ]
    for part in ast.walk(node):
        if isinstance(part, ast.arg):
            outer.append(part.annotation)
        elif isinstance(part, ast.FunctionDef):
            outer.append(part.returns)
        elif isinstance(part, ast.AnnAssign):
            outer.append(part.annotation)
    return {
        id(inner)
        for part in outer
        if part is not None
        for inner in ast.walk(part)
    }


def _with_literal_defaults(
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


def _home(name: str, value: Any) -> str | None:
    """Returns the module from which the language knows this function."""
    for module in _KNOWN_MODULES:
        if getattr(sys.modules.get(module), name, None) is value:
            return module
    return None


def _lookup(function: types.FunctionType, name: str) -> Any:
    """Returns what `name` means in `function`; LookupError if nothing."""
    free = function.__code__.co_freevars
    if name in free:
        cell = (function.__closure__ or ())[free.index(name)]
        try:
            return cell.cell_contents
        except ValueError:  # Not assigned yet.
            raise LookupError(name) from None
    if name in function.__globals__:
        return function.__globals__[name]
    return vars(builtins)[name]


def _invalid(name: str, errors: list[Diagnostic]) -> ActivationError:
    errors = sorted(errors, key=lambda error: (error.line, error.column))
    return ActivationError(
        grpc.StatusCode.INVALID_ARGUMENT,
        "\n".join(f"{name}:{error}" for error in errors),
        errors,
    )


def _invalid_message(message: str) -> ActivationError:
    return ActivationError(grpc.StatusCode.INVALID_ARGUMENT, message)
