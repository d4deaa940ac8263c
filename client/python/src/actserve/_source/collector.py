"""A Python function's own source as the text of an activation.

Names from outside the function are resolved or refused here, where the function
is written, and not at the first call. Numbers become constants. Functions
become helpers in front of it. Modules and their functions become import lines,
which the language reads as names and never executes. A function that Python
does not know (`sigmoid`) may belong to the language: the server decides.
"""

from __future__ import annotations

import builtins
import math
import numbers
import sys
import types
from typing import Any

import grpc
import numpy as np

from actserve._errors import ActivationError, Diagnostic
from actserve._source.collected import Collected
from actserve._source.definition import definition, with_literal_defaults
from actserve._source.language import (
    KNOWN_ALIASES,
    KNOWN_MODULES,
    LANGUAGE_NUMBERS,
    PACKAGES,
)
from actserve._source.names import Use, outside_names
from actserve._source.places import Places, located_diagnostics


def collect(function: types.FunctionType, into: Collected) -> None:
    """Adds the text of `function`, after its helpers and constants.

    Raises:
      TypeError: `function` is not a plain function.
      ActivationError: INVALID_ARGUMENT, its source cannot be found, or uses
        names from outside that are neither numbers nor functions; all of them
        are in `diagnostics`.
    """
    _Collector(into).add(function)


class _Collector:
    """Follows functions from one to those that it calls."""

    def __init__(self, into: Collected):
        self._into = into
        self._seen: dict[str, Any] = {}

    def add(
        self, function: types.FunctionType, name: str | None = None
    ) -> None:
        found = definition(function, name)
        self._seen[found.name] = function
        errors: list[Diagnostic] = []
        for use in outside_names(found.node):
            message = self._resolve(function, use)
            if message is not None:
                column = use.node.col_offset + 1
                errors.append(
                    Diagnostic("error", use.node.lineno, column, message)
                )
        text, default_errors = with_literal_defaults(found, function)
        errors += default_errors
        if errors:
            raise _invalid(errors, found.places)
        self._into.add_text(text, found.places)

    def _resolve(self, function: types.FunctionType, use: Use) -> str | None:
        """Adds the meaning of `use` to the text. Returns why not, or None."""
        name = use.node.id
        if name == function.__name__:
            return None  # Recursion is the server's to refuse.
        try:
            value = _lookup(function, name)
        except LookupError:
            # Primitives and prefixes exist in the language alone.
            if use.is_called or use.is_prefix or name in LANGUAGE_NUMBERS:
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
        known = LANGUAGE_NUMBERS.get(name)
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
        if package not in PACKAGES:
            return (
                f"{name} is the module {path}, which the activation language "
                f"does not have; only numbers and functions can be taken along"
            )
        if package not in KNOWN_ALIASES.get(name, ()):
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
        if own_name == "<lambda>":
            own_name = name
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
            self._into.add_text(text, helper.places())
        conflicts = [
            self._into.bind(*constant) for constant in helper.constants.items()
        ]
        return next(filter(None, conflicts), None)

    def _add_function(self, name: str, value: Any) -> str | None:
        module = getattr(value, "__module__", None) or type(value).__module__
        package = module.partition(".")[0]
        if package == "scipy" or isinstance(value, np.ufunc):
            return None  # Its special functions have the language's names.
        if package in PACKAGES:
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
            self.add(value, name)
        return None


def _home(name: str, value: Any) -> str | None:
    """Returns the module from which the language knows this function."""
    for module in KNOWN_MODULES:
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


def _invalid(errors: list[Diagnostic], places: Places) -> ActivationError:
    errors = sorted(errors, key=lambda error: (error.line, error.column))
    found = located_diagnostics(errors, places)
    return ActivationError(
        grpc.StatusCode.INVALID_ARGUMENT, "\n".join(map(str, found)), found
    )
