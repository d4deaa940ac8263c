"""`actserve.activation`: a function that a server can run and differentiate."""

from __future__ import annotations

import functools
import logging
import math
import types
from collections.abc import Callable, Mapping
from typing import Any, overload

from actserve._source import Collected, collect, function_name
from actserve._source.places import Places

_log = logging.getLogger("actserve")


class Activation:
    """An activation function as text, ready to be registered.

    Made by `activation`. Immutable. Two are equal if their text, derivative,
    constants, `exact` and `axis` are equal. Calling one runs the Python
    function that it was made from, on this machine. Pickles as its text.

    Attributes:
      name: The name of its `def`; None if only the server can tell it.
      text: The text for the server.
      derivative: Text of a second function that replaces the derived
        gradient; "" if none.
      constants: Numbers for names that the text does not define, as they were
        when the activation was made.
      exact: True if the server must keep the formula as written.
      axis: The axis along which rows run in calls that name none; or None.
      places: Where the lines of the text stand in the author's files; empty if
        it was given as text.
    """

    def __init__(
        self,
        text: str,
        derivative: str = "",
        constants: Mapping[str, float] | None = None,
        exact: bool = False,
        function: Callable[..., Any] | None = None,
        axis: int | None = None,
        places: Places = (),
    ):
        self.text = text
        self.derivative = derivative
        self.constants: Mapping[str, float] = types.MappingProxyType(
            dict(constants or {})
        )
        self.exact = exact
        self.axis = axis
        self.places = places
        # A derivative that this package made: nobody is warned of it.
        self.is_derived = False
        self.name = function_name(text)
        self._function = function
        if function is not None:
            functools.update_wrapper(self, function, updated=())

    @property
    def helper_text(self) -> Collected:
        """The texts that another activation needs to call this one."""
        result = Collected(constants=dict(self.constants))
        result.add_text(self.text, self.places)
        return result

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._function is None:
            raise TypeError(
                f"{self!r} was made from text, which is never executed here; "
                f"use client.forward"
            )
        return self._function(*args, **kwargs)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Activation):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        constants = "".join(
            f", {name}={value!r}" for name, value in self.constants.items()
        )
        return f"<activation {self.name or '?'}{constants}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return Activation, (
            self.text,
            self.derivative,
            dict(self.constants),
            self.exact,
            None,
            self.axis,
            self.places,
        )

    def _key(self) -> tuple[Any, ...]:
        # As texts, of which those of 0.0 and -0.0 differ.
        constants = tuple(
            sorted((n, repr(c)) for n, c in self.constants.items())
        )
        return self.text, self.derivative, constants, self.exact, self.axis


@overload
def activation(
    source: Callable[..., Any] | str,
    *,
    derivative: Callable[..., Any] | str | None = None,
    gradient: Callable[..., Any] | None = None,
    constants: Mapping[str, float] | None = None,
    exact: bool = False,
    axis: int | None = None,
) -> Activation: ...


@overload
def activation(
    *,
    derivative: Callable[..., Any] | str | None = None,
    gradient: Callable[..., Any] | None = None,
    constants: Mapping[str, float] | None = None,
    exact: bool = False,
    axis: int | None = None,
) -> Callable[[Callable[..., Any]], Activation]: ...


def activation(
    source: Callable[..., Any] | str | None = None,
    *,
    derivative: Callable[..., Any] | str | None = None,
    gradient: Callable[..., Any] | None = None,
    constants: Mapping[str, float] | None = None,
    exact: bool = False,
    axis: int | None = None,
) -> Activation | Callable[[Callable[..., Any]], Activation]:
    """Makes an activation of a Python function or of text.

    Use it as a decorator (`@activation`, `@activation(exact=True)`) or as a
    function (`activation(f)`, `activation(text)`). Arguments without a default
    are the tensor inputs; arguments with a default are parameters, which are
    numbers that a call may change. Nothing is sent before the first use.

    For a function or a lambda, its own source becomes the text. Finite numbers
    from outside (module constants, closure values) are bound at their present
    value; see `constants` of the result, and the log. Functions that it calls
    are added to the text. Messages about it name the lines of its file. A text
    that is given is never executed.

    Args:
      source: A plain function, a text that defines one, or an activation to
        copy with other options.
      derivative: A function of one input, or its text: dy/dx, used instead of
        the derived one.
      gradient: A function named `<name>_grad(x, ..., dy)` that returns the
        gradient of each input, used instead of the derived one. A text contains
        it.
      constants: Numbers for names that the text does not define. Finite.
      exact: Keep the formula as written: no rewriting for numerical safety.
      axis: For a function that reads rows (`rowmax(x)`): the axis along which
        they run, unless a call names another; negative ones count from the
        last.

    Raises:
      TypeError: `source` is neither text nor a plain function or lambda; or it
        is a function of a framework, and the message says what to pass.
      ActivationError: INVALID_ARGUMENT, the source of the function cannot be
        found, or was edited since Python read it, or it uses something from
        outside that is neither a number nor a function. Errors in the text
        itself are found by the server.
    """
    if source is None:
        return functools.partial(
            activation,
            derivative=derivative,
            gradient=gradient,
            constants=constants,
            exact=exact,
            axis=axis,
        )

    if isinstance(source, Activation):
        derivative = source.derivative if derivative is None else derivative
        axis = source.axis if axis is None else axis
    collected = Collected()
    for name, value in (constants or {}).items():
        if not math.isfinite(value):
            raise ValueError(f"constant {name} is {value}, not finite")
        collected.bind(name, float(value))
    if isinstance(source, str):
        collected.add_text(source)
    else:
        _collect(source, collected)
    if gradient is not None:
        wanted = f"{getattr(source, '__name__', None)}_grad"
        if getattr(gradient, "__name__", None) != wanted:
            raise TypeError(
                f"the gradient of {wanted.removesuffix('_grad')} must be a "
                f"function named {wanted}"
            )
        _collect(gradient, collected)

    derived = Collected(constants=collected.constants)
    if isinstance(derivative, str):
        if derivative:
            derived.add_text(derivative)
    elif derivative is not None:
        _collect(derivative, derived)

    function: Callable[..., Any] | None = None
    if isinstance(source, Activation):
        function = source._function
    elif not isinstance(source, str):
        function = source
    result = Activation(
        collected.text(),
        derived.text(),
        collected.constants,
        exact,
        function,
        axis,
        collected.places(),
    )
    if result.constants:
        _log.info("%r binds %s", result.name, dict(result.constants))
    return result


def _collect(function: Callable[..., Any], into: Collected) -> None:
    """Adds the text of a function or of an activation made from one."""
    if isinstance(function, Activation):
        into.add_text(function.text, function.places)
        for name, value in function.constants.items():
            conflict = into.bind(name, value)
            if conflict:
                raise ValueError(conflict)
        return
    # Which needs all of this package.
    from actserve._bridge.suggestion import instead_of

    said = instead_of(function)
    if said is not None:
        raise TypeError(said)
    collect(function, into)  # type: ignore[arg-type]  # Checks it.
