"""Evaluates operations in this process without Python, on the CPU.

The library of native/jax_ffi.cc lies beside that of client/c. Programs that
call it name their activation by its id: one that is loaded from elsewhere needs
a process that has traced the same activation.
"""

from __future__ import annotations

import ctypes
import functools
import os
import threading
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from actserve import _library
from actserve._activation import Activation
from actserve._address import LOCAL
from actserve._bridge import clients
from actserve._client import Client
from actserve._errors import ActivationWarning
from actserve.jax._operation import (
    FORWARD,
    GRADIENT,
    GRADIENT_OF_GRADIENT,
    PARTIALS,
    TANGENT,
    Operation,
)

# False: tests compare with what calls back into Python.
enabled = True

_NAME = "_actserve_jax.so"
_TARGET = "actserve"
_KINDS = {
    FORWARD: "forward",
    PARTIALS: "partials",
    TANGENT: "tangent",
    GRADIENT: "gradient",
    GRADIENT_OF_GRADIENT: "second_order",
}

_lock = threading.Lock()
# Connections that the library names, which must not end.
_kept: dict[str, Any] = {}


@functools.cache
def _load(library: Path) -> Any:
    """Returns the handler beside the library of client/c, or None."""
    file = library.parent / _NAME
    ffi = getattr(jax, "ffi", None)
    if ffi is None or not file.is_file():
        return None
    try:
        handler = ctypes.CDLL(os.fspath(file))
        handler.actserve_jax_start.argtypes = [ctypes.c_char_p]
        handler.actserve_jax_add_client.restype = None
        handler.actserve_jax_add_client.argtypes = [
            ctypes.c_char_p,
            ctypes.c_void_p,
        ]
        if handler.actserve_jax_start(os.fsencode(library)):
            return None
        # Else a handler that JAX refuses would be refused when it starts, and
        # JAX with it.
        jax.devices("cpu")
        ffi.register_ffi_target(
            _TARGET, ffi.pycapsule(handler.actserve_jax_run), platform="cpu"
        )
    except Exception:  # made for a newer jaxlib, or there is no CPU
        return None
    return handler


def is_here() -> bool:
    """Returns whether programs can compute here without Python."""
    library = _library.path()
    return library is not None and _load(library) is not None


def serves(operation: Operation) -> bool:
    """Returns whether call() evaluates an operation."""
    spec = operation.spec
    return (
        enabled
        and spec.wire_dtype is None
        and (spec.client in (None, LOCAL) or spec.client.startswith("object:"))
        and jax.default_backend() == "cpu"
        and clients.client_for(spec.client).address == LOCAL
        and is_here()
    )


def call(
    operation: Operation,
    types: Sequence[jax.ShapeDtypeStruct],
    *operands: Any,
) -> Sequence[Any]:
    """Returns the results of an operation that serves() takes.

    Args:
      operation: It.
      types: Of the results.
      *operands: Numbers among them are float32 or float64.
    """
    # No vmap_method: vmap() ends at the operation.
    results: Sequence[Any] = jax.ffi.ffi_call(_TARGET, list(types))(
        *operands, plan=_plan(operation)
    )
    return results


@functools.lru_cache(maxsize=4096)
def _plan(operation: Operation) -> str:
    """Returns the call as the handler reads it; registers the activation."""
    spec = operation.spec
    of = operation.evaluator
    client = clients.client_for(spec.client)
    lines = [
        f"kind {_KINDS[operation.kind]}",
        f"activation {_id(client, of._activation)}",
        f"client {_named(spec.client, client)}",
        *(f"input {name}" for name in of.inputs),
        *(
            f"parameter {name}" + ("" if axis is None else f" {axis}")
            for name, axis in spec.parameters
        ),
        *(f"constant {name} {value!r}" for name, value in spec.constants),
        *(f"wanted {name}" for name in operation.wanted),
        *(f"moved {name}" for name in operation.moved),
        f"element_offset {spec.element_offset}",
        f"timeout {spec.timeout or 0!r}",
    ]
    if spec.axis is not None:
        lines.append(f"axis {spec.axis}")
    if spec.split_axis is not None:
        lines.append(f"split_axis {spec.split_axis}")
    return "\n".join(lines)


def _id(client: Client, activation: Activation | str) -> str:
    if isinstance(activation, str):
        return activation
    with warnings.catch_warnings():
        # The evaluator has passed them on.
        warnings.simplefilter("ignore", ActivationWarning)
        return client.register_activation(activation).id


def _named(key: str | None, client: Client) -> str:
    """Returns the handler's name for a client that computes here."""
    name = key or "default"
    library = _library.path()
    assert library is not None
    with _lock:
        if name not in _kept:
            way: Any = client._way
            connection = way._own()
            _load(library).actserve_jax_add_client(
                name.encode(), connection._client.value
            )
            _kept[name] = connection
    return name
