"""What to pass instead of a framework's own function, or of a mistyped name.

The library here knows how frameworks spell functions, and its built-ins.
"""

from __future__ import annotations

import difflib
import inspect
import sys
from collections.abc import Iterator
from typing import Any

from actserve._activation import Activation
from actserve._bridge import clients
from actserve._errors import ActivationError
from actserve._info import ActivationInfo

# Whose functions the language has, by the names that texts spell.
_MODULES = (
    *("torch.nn.functional", "torch.special", "torch"),
    *("jax.nn", "jax.scipy.special", "jax.numpy", "jax.lax"),
    *("keras.activations", "keras.ops"),
    *("tensorflow.nn", "tensorflow.math", "tensorflow"),
    *("scipy.special", "numpy", "math"),
)


def instead_of(given: Any) -> str | None:
    """Returns what to say to who gives a framework's function or layer.

    None: it is none that is known.
    """
    for spelling in _spellings(given):
        name = spelling.split("(")[0]
        call = spelling if "(" in spelling else f"{spelling}(x)"
        text = f"def f(x): return {call}"
        found = _built_in(name.split(".")[-1], text)
        if found is not None:
            package = name.split(".")[0]
            return f"{name} is a function of {package}: pass {found}"
    return None


def nearest(name: str) -> str:
    """Returns what to add to the error of an unknown name; "" if nothing."""
    client = clients.local()
    if client is None:
        return ""
    names = [info.name for info in client.list_activations() if info.builtin]
    found = difflib.get_close_matches(name.lower(), names, cutoff=0.6)
    if not found:
        return "; list_activations() has the names of all"
    return f": did you mean {' or '.join(map(repr, found))}?"


def _spellings(given: Any) -> Iterator[str]:
    """Yields how a text spells `given`, best first; a call if with options."""
    own_name = getattr(given, "__name__", None)
    for module in _MODULES:
        found = _module(module)
        if (
            found is not None
            and isinstance(own_name, str)
            and getattr(found, own_name, None) is given
        ):
            yield f"{module}.{own_name}"
    torch = sys.modules.get("torch")
    if torch is None:
        return
    # Layers that are named as functions are, but for case and underscores.
    kind = given if inspect.isclass(given) else type(given)
    if kind.__module__ != "torch.nn.modules.activation":
        return
    for name in vars(torch.nn.functional):
        if name.replace("_", "") != kind.__name__.lower():
            continue
        spelling = f"torch.nn.functional.{name}"
        options = "" if kind is given else given.extra_repr()
        if options and "inplace" not in options:
            yield f"{spelling}(x, {options})"
        yield spelling


def _module(name: str) -> Any:
    """Returns a module of a framework that the program has imported."""
    package, *inner = name.split(".")
    module: Any = sys.modules.get(package)
    for each in inner:
        # Some load what is in them when it is asked for.
        module = None if module is None else getattr(module, each, None)
    return module


def _built_in(name: str, text: str) -> str | None:
    """Returns what to pass for a text that calls a function of this name."""
    client = clients.local()
    if client is None:
        return f"its text, {text!r}, or the name of a built-in"
    known = {
        info.name: client.get_activation(info.name)
        for info in client.list_activations()
        if info.builtin
    }
    of_name = known.get(name)
    try:
        program = _body(client.get_activation(Activation(text)))
    except ActivationError:
        # It reads rows, or takes several tensors.
        return None if of_name is None else f"the name {name!r}"
    for info in known.values():
        if _body(info) == program:
            return f"the name {info.name!r}"
    if of_name is not None and of_name.parameters:
        parameters = ", ".join(of_name.parameters)
        return f"the name {name!r}, whose parameters are {parameters}"
    return f"its text, {text!r}"


def _body(info: ActivationInfo) -> str:
    """Returns the program without the name of the function."""
    return info.program.partition("(")[2]
