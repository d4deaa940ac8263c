"""The bridge to the backend of Keras."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any

import keras


@functools.cache
def apply() -> Callable[..., Any]:
    """Returns the function of the bridge to the backend.

    Raises:
      NotImplementedError: There is none.
    """
    backend = keras.backend.backend()
    if backend not in ("tensorflow", "torch", "jax"):
        raise NotImplementedError(
            f"the backend of Keras is {backend}; activations of actserve work "
            f"with tensorflow, torch and jax"
        )
    bridge = importlib.import_module(f"actserve.{backend}")
    return bridge.apply  # type: ignore[no-any-return]
