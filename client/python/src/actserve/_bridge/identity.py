"""What a checkpoint says about an activation, and what a layer says to it."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from actserve._address import LOCAL
from actserve._bridge import clients
from actserve._bridge.evaluator import evaluator
from actserve._bridge.spec import Spec
from actserve._errors import ActivationError

_FLOAT32 = np.dtype(np.float32)


def identity(spec: Spec) -> dict[str, Any]:
    """Returns what a Spec computes, as JSON has it. Asks no server.

    "text": The text and that of a declared derivative; or a name or an id.
    "id": That of the activation; None: it is not known here.
    "parameters": Numbers that differ from their default.
    "program_id": That of its program in float32: equal ones, equal bits. It
      names the version of the mathematics too. None: the library is not here.
    """
    return {
        "text": _text(spec),
        "id": _id(spec),
        "parameters": dict(spec.constants),
        "program_id": program_id(spec),
    }


def program_id(spec: Spec) -> str | None:
    """Returns the "program_id" of identity()."""
    if clients.local() is None or evaluator(spec)._is_id:
        return None
    return _program_id(
        dataclasses.replace(
            spec,
            client=LOCAL,
            parameters=(),
            constants=(),
            fallback=None,
            gradient="auto",
        )
    )


def difference(saved: Any, spec: Spec) -> str | None:
    """Returns what a checkpoint computes otherwise than `spec`, in words.

    Args:
      saved: identity(), of this version or of an earlier one, which said less.
      spec: That of a layer which is given the checkpoint's values.
    """
    if not isinstance(saved, Mapping) or "text" not in saved:
        return None
    here = identity(spec)
    name = evaluator(spec).name
    is_same = saved["text"] == here["text"]
    known = saved.get("id")
    if known is not None and here["id"] is not None:
        is_same = known == here["id"]  # however it is spelled
    if not is_same:
        return (
            f"the checkpoint was made with another activation than {name}: "
            f"{saved['text']}"
        )
    parameters = saved.get("parameters", here["parameters"])
    if parameters != here["parameters"]:
        return (
            f"the checkpoint was made with parameters={parameters} of {name}, "
            f"not {here['parameters']}"
        )
    program = saved.get("program_id")
    if None not in (program, here["program_id"]) and (
        program != here["program_id"]
    ):
        return (
            f"the checkpoint was made with another version of the mathematics "
            f"of {name}, so that the last bits may differ: its program is "
            f"{program}, here it is {here['program_id']}"
        )
    return None


@functools.lru_cache(maxsize=1024)
def _program_id(spec: Spec) -> str | None:
    try:
        return evaluator(spec).program_id(_FLOAT32)
    except ActivationError:
        return None  # A call says what is wrong.


def _id(spec: Spec) -> str | None:
    info = vars(evaluator(spec)).get("info")
    return None if info is None else info.id


def _text(spec: Spec) -> str:
    if isinstance(spec.activation, str):
        return spec.activation
    texts = (spec.activation.text, spec.activation.derivative)
    return "\n\n".join(text for text in texts if text)
