"""What the text of a function and its constants depend on."""

from __future__ import annotations

import numbers
import types
from collections.abc import Iterator
from typing import Any


def outside(source: Any) -> tuple[Any, ...]:
    """Returns a key that changes with what `source` takes from outside.

    Quick: for caches of what was made of functions. () of anything else.
    """
    if not isinstance(source, types.FunctionType):
        return ()
    result: list[Any] = []
    functions = [source]
    for function in functions:
        # As texts, of which those of 0.0 and -0.0 differ.
        result.append(
            (
                function.__code__,
                repr(function.__defaults__),
                repr(function.__kwdefaults__),
            )
        )
        for name, value in _values(function):
            if isinstance(value, numbers.Real):
                result.append((name, repr(value)))
            elif callable(value) and type(value).__hash__ is not None:
                result.append((name, value))
                if (
                    isinstance(value, types.FunctionType)
                    and value not in functions
                ):
                    functions.append(value)
    return tuple(result)


def _values(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    known = function.__globals__
    for name in function.__code__.co_names:
        if name in known:
            yield name, known[name]
    for name, cell in zip(
        function.__code__.co_freevars, function.__closure__ or (), strict=True
    ):
        try:
            yield name, cell.cell_contents
        except ValueError:  # not assigned yet
            continue
