"""An activation as a layer."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import torch

import actserve
from actserve._bridge import Evaluator, Spec, evaluator
from actserve._bridge.identity import difference, identity
from actserve._bridge.learnable import by_name, first_values
from actserve.torch._call import call
from actserve.torch._function import Activatable, as_value, place_of


class Activation(torch.nn.Module):
    """A layer that computes an activation, here or at a server.

    >>> swish = "def swish(x, beta=1.0): return x / (1 + exp(-beta * x))"
    >>> layer = actserve.torch.Activation(swish, learnable=["beta"], channels=3)
    >>> model = torch.nn.Sequential(torch.nn.Linear(2, 3), layer)
    >>> model(torch.ones(4, 2)).sum().backward()
    >>> layer.beta.grad.shape
    torch.Size([3])

    Learnable parameters are attributes, and torch.nn.Parameters, of the
    activation's own names (with a "_" behind one that a Module has already).
    The layer can be copied and pickled. A checkpoint holds the text and the id
    of the activation, its parameters, and the id of the program; loading it
    into a layer of which one differs warns.

    Attributes:
      activation: What it computes.
    """

    def __init__(
        self,
        activation: Activatable,
        *,
        learnable: Mapping[str, Any] | Iterable[str] | str = (),
        channels: int | None = None,
        channel_axis: int = 1,
        parameters: Mapping[str, float] | None = None,
        axis: int | None = None,
        split_axis: int | None = None,
        client: actserve.Client | str | None = None,
        gradient: str = "auto",
        fallback: str | None = None,
        wire_dtype: str | None = None,
        timeout: float | None = None,
        device: Any = None,
        dtype: torch.dtype | None = None,
    ):
        """Makes the layer. Asks no server if the library is here.

        Args:
          activation: As of actserve.torch.apply().
          learnable: Names of parameters to learn; or for each its initial
            value: a number, None for its default, or a tensor with a value per
            channel.
          channels: The number of channels: learnable parameters that are not
            given as tensors have a value for each. None: one value.
          channel_axis: The axis of the inputs that counts channels; negative
            ones count from the last.
          parameters: Numbers of the other parameters that differ from their
            default.
          axis: As of actserve.torch.apply().
          split_axis: As of actserve.torch.apply().
          client: As of actserve.torch.apply().
          gradient: As of actserve.torch.apply().
          fallback: As of actserve.torch.apply().
          wire_dtype: As of actserve.torch.apply().
          timeout: As of actserve.torch.apply().
          device: Of the learnable parameters.
          dtype: Of the learnable parameters.

        Raises:
          ActivationError: The source of the activation cannot be taken, or its
            text has errors, and the library, which finds them, is here.
          TypeError: It has no parameter of such a name.
          ValueError: An option has none of its values.
        """
        super().__init__()
        learnable = by_name(learnable, channels)
        options = (
            axis,
            split_axis,
            0,
            gradient,
            fallback,
            wire_dtype,
            timeout,
        )
        spec = Spec.make(activation, client, (), parameters, *options)
        values = {
            name: _initial(spec, name, value, channels).to(
                device=device, dtype=dtype or torch.get_default_dtype()
            )
            for name, value in learnable.items()
        }
        spec = Spec.make(
            activation,
            client,
            [(n, place_of(v, channel_axis)) for n, v in values.items()],
            parameters,
            *options,
        )
        evaluator(spec)
        self._spec = spec
        self._text = spec.text()
        self._learnable = []
        for name, value in values.items():
            attribute = f"{name}_" if hasattr(self, name) else name
            self.register_parameter(attribute, torch.nn.Parameter(value))
            self._learnable.append(attribute)

    @property
    def activation(self) -> actserve.Activation | str:
        """What it computes: an Activation, or the name or id of one."""
        return self._spec.activation

    def forward(
        self,
        *inputs: torch.Tensor,
        parameters: Mapping[str, Any] | None = None,
    ) -> torch.Tensor:
        """Returns activation(*inputs).

        Args:
          *inputs: As of actserve.torch.apply(), which states the errors.
          parameters: Those that change from call to call, such as a seed:
            numbers, or tensors of one element.
        """
        text = self._text
        if not self._learnable and not parameters:
            return call(text, inputs, len(inputs))
        _, values = self._call()
        if parameters:
            text = _extended(text, tuple(parameters))
            for name, value in parameters.items():
                values.append(_number(name, value))
        return call(text, [*inputs, *values], len(inputs))

    def _call(self) -> tuple[str, list[torch.Tensor]]:
        """Returns the text of a call's Spec, and the learned values."""
        values = [as_value(getattr(self, name)) for name in self._learnable]
        return self._text, values

    def get_extra_state(self) -> dict[str, Any]:
        """Returns what a checkpoint says about the activation.

        Its "text", "id" and "parameters", and the "program_id" of the library
        here, which names the version of the mathematics too; None if unknown.
        """
        return identity(self._spec)

    def set_extra_state(self, state: Any) -> None:
        """Warns if a checkpoint is of another activation."""
        said = difference(state, self._spec)
        if said is not None:
            warnings.warn(said, stacklevel=2)

    def extra_repr(self) -> str:
        """Returns what stands between the parentheses of the layer."""
        spec = self._spec
        parts = [self._of.name]
        parts += [f"{name}={value:g}" for name, value in spec.constants]
        for name in self._learnable:
            shape = tuple(getattr(self, name).shape)
            parts.append(f"learnable {name}{list(shape) if shape else ''}")
        for name in ("axis", "split_axis", "client"):
            value = getattr(spec, name)
            if value is not None:
                parts.append(f"{name}={value!r}")
        return ", ".join(parts)

    @property
    def _of(self) -> Evaluator:
        return evaluator(self._spec)

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        *rest: Any,
    ) -> None:
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, *rest
        )
        # The layer that this one replaces had none.
        key = f"{prefix}_extra_state"
        if key in missing_keys:
            missing_keys.remove(key)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        # A Client has another key in every process.
        self._text = self._spec.text()


def _initial(
    spec: Spec, name: str, value: Any, channels: int | None
) -> torch.Tensor:
    if not isinstance(value, torch.Tensor):
        found = first_values(spec, {name: value}, channels)
        return torch.as_tensor(found[name])
    if value.is_complex():
        raise TypeError(
            f"learnable[{name!r}] has dtype {value.dtype}: give numbers"
        )
    return value.detach().clone()


def _number(name: str, value: Any) -> torch.Tensor:
    if not isinstance(value, torch.Tensor):
        return torch.tensor(value, dtype=torch.float64)
    if value.numel() != 1:
        raise ValueError(
            f"parameters[{name!r}] has shape {list(value.shape)}, not one "
            f"element: use actserve.torch.apply()"
        )
    return as_value(value).reshape(())


@torch.compiler.assume_constant_result
def _extended(text: str, names: tuple[str, ...]) -> str:
    """Returns the text of a Spec with more parameters, one number each."""
    spec = evaluator(text).spec
    twice = set(names) & {name for name, _ in spec.parameters}
    if twice:
        raise ValueError(f"parameters: {min(twice)} is learned by the layer")
    more = tuple((name, None) for name in names)
    spec = spec.with_parameters((*spec.parameters, *more))
    evaluator(spec)  # which refuses what no call could do
    return spec.text()
