"""Which way to an engine is the best one, by measuring them."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from actserve import _address, _library
from actserve._activation import Activation
from actserve._errors import ActivationError

if TYPE_CHECKING:
    from actserve._client import Client

_TURNS = 5


@dataclasses.dataclass(frozen=True)
class Distance:
    """What a training step costs by one way; medians, in seconds.

    Attributes:
      way: "local"; "shared memory, in place", with arrays of Client.empty();
        "server", with any arrays; or "beside", a function of the caller's.
      forward: One forward.
      step: A forward and a backward with the same inputs; of "beside" the
        forward alone.
    """

    way: str
    forward: float
    step: float


@dataclasses.dataclass(frozen=True)
class Advice:
    """The ways that were measured, the fastest step first; "beside" is last.

    Attributes:
      distances: At least one.
      failures: Why a way could not be measured, by way.
    """

    distances: tuple[Distance, ...]
    failures: dict[str, str]

    @property
    def best(self) -> Distance:
        return self.distances[0]

    def __str__(self) -> str:
        lines = [f"{'way':<26}{'forward':>14}{'step':>14}   microseconds"]
        lines += [
            f"{each.way:<26}{each.forward * 1e6:14.1f}{each.step * 1e6:14.1f}"
            for each in self.distances
        ]
        lines += [f"{way:<26}{why}" for way, why in self.failures.items()]
        ours = [each for each in self.distances if each.way != "beside"]
        advice = f"take {self.best.way}"
        if len(ours) > 1:
            advice += (
                f": {ours[1].step / ours[0].step:.1f} times as fast as "
                f"{ours[1].way}"
            )
        beside = [each for each in self.distances if each.way == "beside"]
        if beside:
            advice += (
                f"; its forward takes {ours[0].forward / beside[0].forward:.1f}"
                f" times as long as the function beside it"
            )
        return "\n".join([*lines, advice])


class _Runner:
    """Measures one way."""

    def __init__(
        self,
        client: Client,
        activation: Activation | str,
        shape: int | Sequence[int],
        dtype: DTypeLike,
        axis: int | None,
        empty: Callable[[Any, DTypeLike], Any],
    ):
        info = client.get_activation(activation)
        self._inputs = [empty(shape, dtype) for _ in info.inputs]
        self._out = empty(shape, dtype)
        x = np.linspace(-3, 3, self._out.size, dtype=np.float32)
        for each in self._inputs:
            each[...] = x.reshape(shape)
        self._dy = empty(shape, dtype)
        self._dy[...] = 1
        self._gradients = {name: empty(shape, dtype) for name in info.inputs}
        self._client = client
        self._activation = activation
        self._axis = axis
        self.forwards: list[float] = []
        self.steps: list[float] = []

    def run(self) -> None:
        start = time.perf_counter()
        self._client.forward(
            self._activation, *self._inputs, axis=self._axis, out=self._out
        )
        middle = time.perf_counter()
        self._client.backward(
            self._activation,
            *self._inputs,
            grad_output=self._dy,
            axis=self._axis,
            out=self._gradients,
        )
        self.forwards.append(middle - start)
        self.steps.append(time.perf_counter() - start)


def advise(
    client: Client,
    activation: Activation | str,
    shape: int | Sequence[int],
    dtype: DTypeLike,
    axis: int | None,
    beside: Callable[[], Any] | None,
    seconds: float,
) -> Advice:
    """Implements Client.advise()."""
    from actserve._connect import connect

    failures: dict[str, str] = {}
    runners: dict[str, _Runner] = {}

    def add(way: str, to: Client, empty: Callable[..., Any]) -> None:
        try:
            runner = _Runner(to, activation, shape, dtype, axis, empty)
            runner.run()
        except ActivationError as error:
            failures[way] = str(error)
            return
        runner.forwards.clear()
        runner.steps.clear()
        runners[way] = runner

    is_local = client.address == _address.LOCAL
    if is_local:
        add("local", client, np.empty)
    elif _library.path() is not None:
        add("local", connect("local"), np.empty)
    if not is_local:
        if client.address.startswith("unix:"):
            add("shared memory, in place", client, client.empty)
        add("server", client, np.empty)
    besides: list[float] = []
    for _ in range(_TURNS):
        for runner in runners.values():
            end = time.perf_counter() + seconds / _TURNS
            while time.perf_counter() < end:
                runner.run()
        if beside is not None:
            end = time.perf_counter() + seconds / _TURNS
            while time.perf_counter() < end:
                start = time.perf_counter()
                beside()
                besides.append(time.perf_counter() - start)
    distances = sorted(
        (
            Distance(
                way,
                statistics.median(runner.forwards),
                statistics.median(runner.steps),
            )
            for way, runner in runners.items()
        ),
        key=lambda each: each.step,
    )
    if not distances:
        way, why = next(iter(failures.items()))
        raise ConnectionError(f"no way can be measured; {way}: {why}")
    if besides:
        median = statistics.median(besides)
        distances.append(Distance("beside", median, median))
    return Advice(tuple(distances), failures)
