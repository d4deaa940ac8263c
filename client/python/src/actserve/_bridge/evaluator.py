"""Evaluates a Spec and its gradients on NumPy arrays."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import ml_dtypes
import numpy as np

from actserve import _tensors
from actserve._activation import Activation
from actserve._address import AUTO, LOCAL
from actserve._arrays.device import DeviceArray
from actserve._arrays.rooms import GRAD_OUTPUT
from actserve._bridge import clients, fallback
from actserve._bridge.spec import Spec
from actserve._bridge.without_library import WithoutLibrary
from actserve._calls import Array
from actserve._client import Client
from actserve._info import ActivationInfo
from actserve._replicas import Place
from actserve._residual import Residual
from actserve._values import ALL_INPUTS, PerAxis
from actserve.v1 import service_pb2

_WIRE_DTYPES = {"bfloat16": np.dtype(ml_dtypes.bfloat16)}
_FLOAT32 = np.dtype(np.float32)
# Of 16 bits a product with a rounded partial would be rounded twice.
_PARTIALS_DTYPES = (_FLOAT32, np.dtype(np.float64))
_INFO_SECONDS = 60.0

_T = TypeVar("_T")


def evaluator(spec: Spec | str) -> Evaluator:
    """Returns the evaluator of a Spec, or of its text(). Quick.

    Raises: as Evaluator().
    """
    if isinstance(spec, str):
        return _evaluator_of_text(spec)
    return _evaluator(spec)


@functools.lru_cache(maxsize=1024)
def _evaluator_of_text(text: str) -> Evaluator:
    return _evaluator(Spec.of_text(text))


@functools.lru_cache(maxsize=1024)
def _evaluator(spec: Spec) -> Evaluator:
    return Evaluator(spec)


class Evaluator:
    """Evaluates one Spec; made by evaluator().

    Methods take `arrays`: the inputs, and then the values of the Spec's
    parameters: C-contiguous arrays of float16, bfloat16, float32 or float64.
    Those of a parameter that is one number have one element. Values of another
    dtype than the inputs are rounded to theirs; their gradients have their own.

    Every method that computes raises ActivationError, as Client does. With the
    fallback "local" it does not for a server that is away.

    Thread-safe. Survives a fork. Copies are the same object; pickles as its
    Spec.

    Raises:
      ActivationError: The text has errors, and the library, which finds them,
        is here.
      TypeError: The Spec names a parameter that the activation lacks.
      ValueError: It wants partials of an activation that has none, or no axis
        for one that reads rows.
    """

    def __init__(self, spec: Spec):
        self.spec = spec
        activation = spec.activation
        # With its axis in it, a call is plain, and a plain one is repeated
        # quickly.
        options: dict[str, Any] = {"axis": spec.axis}
        if isinstance(activation, Activation):
            options = {}
            if spec.axis != activation.axis:
                activation = _with_axis(activation, spec.axis)
        self._activation = activation
        if spec.split_axis is not None:
            options["split_axis"] = spec.split_axis
        if spec.element_offset:
            options["element_offset"] = spec.element_offset
        if spec.timeout is not None:
            options["timeout"] = spec.timeout
        self._fixed_options = {
            name: value for name, value in options.items() if value is not None
        }
        self._wire_dtype = (
            None if spec.wire_dtype is None else _WIRE_DTYPES[spec.wire_dtype]
        )
        # Its calls need nothing but the arrays.
        self._is_plain = not (
            self._fixed_options
            or spec.parameters
            or spec.constants
            or spec.fallback
            or spec.wire_dtype
        )
        if clients.local() is not None:
            self._check(self.info)

    @functools.cached_property
    def info(self) -> ActivationInfo:
        """The activation; asked of the library here, else of the server."""
        client = clients.local()
        if client is None or self._is_id:
            client = clients.client_for(self.spec.client)
        return client._calls.info(
            self._activation, time.monotonic() + _INFO_SECONDS, Place()
        )

    @property
    def name(self) -> str:
        """What its author calls it."""
        if isinstance(self._activation, Activation):
            return self._activation.name or "the activation"
        return self._activation

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the tensor inputs; with split_axis the one "*"."""
        if self.spec.split_axis is not None:
            return (ALL_INPUTS,)
        return self.info.inputs

    @functools.cached_property
    def variables(self) -> tuple[str, ...]:
        """The names of what `arrays` hold, in order."""
        return (*self.inputs, *(name for name, _ in self.spec.parameters))

    @property
    def reads_rows(self) -> bool:
        """Whether an element of the result depends on others of its row."""
        return self.info.reads_rows

    @functools.cached_property
    def has_partials(self) -> bool:
        """Whether the gradient is forward_with_partials() times dL/dy."""
        return (
            len(self.info.inputs) == 1
            and not self.reads_rows
            and not self.info.declared_gradient
            and not self.spec.parameters
        )

    def result_shape(self, shapes: Sequence[Sequence[int]]) -> tuple[int, ...]:
        """Returns the shape of the result for inputs of these shapes.

        Asks no server where the library is here.

        Raises:
          ValueError: They do not fit together, or are too few or too many.
        """
        if len(shapes) != len(self.inputs):
            raise ValueError(
                f"{self.name} takes "
                f"{len(self.inputs)} inputs ({', '.join(self.inputs)}), "
                f"not {len(shapes)}"
            )
        shape = np.broadcast_shapes(*map(tuple, shapes))
        return tuple(self.shape_of_part(shape))

    def shape_of_part(self, shape: Sequence[Any]) -> list[Any]:
        """Returns the shape of the result for that of all inputs together.

        Args:
          shape: That to which the inputs broadcast: integers, or a compiler's
            symbols of them.

        Raises:
          ValueError: The one input of a gate does not split into its parts.
        """
        result = list(shape)
        axis = self.spec.split_axis
        if axis is None:
            return result
        num_parts = len(self.info.inputs)
        if not -len(result) <= axis < len(result):
            raise ValueError(
                f"split_axis {axis} is no axis of the shape {result}"
            )
        if result[axis] % num_parts:
            raise ValueError(
                f"axis {axis} of the shape {result} does not split into "
                f"{num_parts} equal parts"
            )
        result[axis] = result[axis] // num_parts
        return result

    def gradient_way(self, dtype: np.dtype[Any], keeps: bool) -> str:
        """Returns how a gradient is had: the Spec's choice, or the cheapest.

        "partials": forward_with_partials() and a product: three tensors in one
        round trip; of what has_partials, in float32 and float64, at a server.
        "residual": forward_with_residual(): four tensors; at a server, for a
        caller that can keep an object. "stateless": backward() with the inputs
        again; in this process, where nothing is sent, and for all others.

        Args:
          dtype: Of the inputs.
          keeps: Whether the caller can keep a Residual for its backward().
        """
        way = self.spec.gradient
        if way == "auto":
            address = clients.client_for(self.spec.client).address
            if address == LOCAL or address.startswith(AUTO):
                way = "stateless"
            elif self.has_partials and dtype in _PARTIALS_DTYPES:
                way = "partials"
            else:
                way = "residual"
        if way == "residual" and not keeps:
            way = "stateless"
        return way

    def plain_call(self) -> tuple[Client, Activation | str] | None:
        """Returns the client of calls that need nothing but the arrays.

        And the activation that it is given. None: calls have options, or a
        fallback.
        """
        if not self._is_plain:
            return None
        return clients.client_for(self.spec.client), self._activation

    def forward(
        self, arrays: Sequence[Array], out: Array | None = None
    ) -> Array:
        """Returns the result; with `out`, written there."""
        if self._is_plain:
            client = clients.client_for(self.spec.client)
            return client.forward(self._activation, *arrays, out=out)
        inputs, options = self._call(arrays)
        if out is not None and out.dtype == inputs[0].dtype:
            options["out"] = out
        y = self._run(
            lambda client: client.forward(self._activation, *inputs, **options),
            lambda without: without.forward(inputs, arrays),
        )
        if out is None or y is out:
            return _cast(y, arrays[0].dtype)
        out[...] = y
        return out

    def forward_with_partials(
        self,
        arrays: Sequence[Array],
        out: Any = None,
        partials_out: Mapping[str, Any] | None = None,
    ) -> tuple[Array, list[Array]]:
        """Returns the result, and d(result)/d(input) for each input.

        Args:
          arrays: As those of forward().
          out: Where the result is written, of the dtype of the inputs.
          partials_out: The same for partials, by input.
        """
        inputs, options = self._call(arrays)
        options |= _given(out=out, partials_out=partials_out)
        y, partials, _ = self._run(
            lambda client: client.forward_with(
                self._activation, *inputs, partials=True, **options
            ),
            lambda without: without.forward_with_partials(inputs, arrays),
        )
        dtype = arrays[0].dtype
        return _cast(y, dtype), [_cast(p, dtype) for p in partials.values()]

    def forward_with_residual(
        self, arrays: Sequence[Array], out: Any = None
    ) -> tuple[Array, Residual | None]:
        """Returns the result, and what backward() takes for the arrays.

        None where a fallback computed without the library. The Residual refers
        to `arrays`: they must not change before it is used. With `out`, of the
        dtype of the inputs, the result is written there.
        """
        inputs, options = self._call(arrays)
        options |= _given(out=out)
        y, _, residual = self._run(
            lambda client: client.forward_with(
                self._activation, *inputs, keep_residual=True, **options
            ),
            lambda without: (without.forward(inputs, arrays), {}, None),
        )
        return _cast(y, arrays[0].dtype), residual

    def backward(
        self,
        arrays: Sequence[Array],
        grad_output: Array,
        wrt: Sequence[str],
        residual: Residual | None = None,
        out: Mapping[str, Array] | None = None,
    ) -> list[Array]:
        """Returns dL/d(variable) for each variable of `wrt`, in order.

        Args:
          arrays: Those of the forward.
          grad_output: dL/d(result), of its dtype and shape.
          wrt: Some of `variables`.
          residual: That of forward_with_residual(): `arrays` are not sent.
          out: By variable, where its gradient is written, and returned.
        """
        if self._is_plain and residual is None and out is None:
            client = clients.client_for(self.spec.client)
            found = client.backward(
                self._activation, *arrays, grad_output=grad_output, wrt=wrt
            )
            return [found[name] for name in wrt]
        inputs, options = self._call(arrays)
        sent, upstream = inputs, self._sent(grad_output)
        if residual is not None:
            options = {"residual": residual} | {
                name: options[name] for name in ("timeout",) if name in options
            }
            inputs = []
        if self._wire_dtype is None and out:
            options["out"] = dict(out)
        found = self._run(
            lambda client: client.backward(
                self._activation,
                *inputs,
                grad_output=upstream,
                wrt=tuple(wrt),
                **options,
            ),
            lambda without: without.backward(sent, arrays, upstream, wrt),
        )
        return self._delivered(found, arrays, wrt, out or {})

    def second_order(
        self,
        arrays: Sequence[Array],
        grad_output: Array,
        cotangents: Mapping[str, Array],
        wrt: Sequence[str],
        out: Mapping[str, Any] | None = None,
    ) -> list[Array]:
        """Returns the gradients of sum(cotangent * gradient of backward()).

        Args:
          arrays: Those of the forward.
          grad_output: That of backward().
          cotangents: By variable, of which backward() gave the gradient.
          wrt: Some of `variables`, and GRAD_OUTPUT.
          out: As of backward().
        """
        inputs, options = self._call(arrays)
        options |= _given(out=out)
        upstream = self._sent(grad_output)
        directions = self._named(cotangents, inputs[0].dtype)
        found = self._run(
            lambda client: client.backward(
                self._activation,
                *inputs,
                grad_output=upstream,
                wrt=tuple(wrt),
                order=2,
                cotangents=directions,
                **options,
            )
        )
        return self._delivered(found, (*arrays, grad_output), wrt, out or {})

    def jvp(
        self,
        arrays: Sequence[Array],
        tangents: Mapping[str, Array],
        out: Any = None,
        tangent_out: Any = None,
    ) -> tuple[Array, Array]:
        """Returns the result and how it moves, in forward mode.

        Args:
          arrays: As those of forward().
          tangents: By variable, how it moves; others stay.
          out: Where the result is written, of the dtype of the inputs.
          tangent_out: The same for how it moves.
        """
        inputs, options = self._call(arrays)
        options |= _given(out=out, tangent_out=tangent_out)
        directions = self._named(tangents, inputs[0].dtype)
        y, tangent = self._run(
            lambda client: client.jvp(
                self._activation, *inputs, tangents=directions, **options
            )
        )
        dtype = arrays[0].dtype
        return _cast(y, dtype), _cast(tangent, dtype)

    def program_id(self, dtype: np.dtype[Any]) -> str:
        """Returns what identifies the numbers: equal ids, equal bits.

        It names the version of the mathematics too, so that a server of another
        version may answer with another id. Asks the server.
        """
        num_inputs = len(self.info.inputs)
        arrays = [np.empty(0, dtype)] * num_inputs
        request = service_pb2.ForwardRequest(
            inputs=map(_tensors.to_proto, arrays),
            axis=0 if self.reads_rows else None,
        )
        response = service_pb2.ForwardResponse()
        self._run(
            lambda client: client._calls.evaluate(
                "Forward",
                self._activation,
                request,
                arrays,
                response,
                client._deadline(self.spec.timeout),
                Place(),
            )
        )
        return response.program_id

    def derivative(self, variable: str) -> Spec | None:
        """Returns d(result)/d(variable) as an activation of its own.

        It takes the same arrays. With it, a derivative of any order is a
        forward of something.

        Args:
          variable: The name of an input or a parameter.

        Returns:
          None where the result of an element depends on others, where the
          author declared the gradient, and where its text is too long.
        """
        if self.reads_rows or self.spec.split_axis is not None:
            return None
        if self.info.declared_gradient:
            return None
        text = self._gradient_texts.get(variable, "# cut")
        if "# cut" in text:
            return None
        derivative = Activation(text)
        derivative.is_derived = True
        return dataclasses.replace(
            self.spec, activation=derivative, gradient="auto"
        )

    @functools.cached_property
    def _gradient_texts(self) -> dict[str, str]:
        client = clients.local()
        if client is None or self._is_id:
            client = clients.client_for(self.spec.client)
        info = client.get_activation(self._activation)
        names = (*info.inputs, *info.parameters)
        return dict(zip(names, info.gradients, strict=False))

    @property
    def _is_id(self) -> bool:
        """Whether only the server can know what is meant."""
        return isinstance(self._activation, str) and ":" in self._activation

    def _check(self, info: ActivationInfo) -> None:
        """Refuses what no call of the Spec could do."""
        spec = self.spec
        names = [name for name, _ in (*spec.parameters, *spec.constants)]
        for name in names:
            if name not in info.parameters:
                known = ", ".join(info.parameters) or "none"
                raise TypeError(
                    f"{self.name} has no parameter {name!r}; it has {known}"
                )
        if spec.gradient == "partials" and not self.has_partials:
            raise ValueError(
                f"gradient='partials': {self.name} must have one input, no "
                f"declared gradient and no parameters that are tensors, and "
                f"read no rows"
            )
        if info.reads_rows and spec.axis is None:
            raise ValueError(
                f"{self.name} reads rows: give the axis along which they run"
            )

    def _run(
        self,
        call: Callable[[Client], _T],
        instead: Callable[[WithoutLibrary], _T] | None = None,
    ) -> _T:
        client = clients.client_for(self.spec.client)
        if self.spec.fallback is None:
            return call(client)
        without = None if instead is None else self._without_library
        if instead is None or without is None:
            return fallback.run(client, call, None)
        return fallback.run(client, call, lambda: instead(without))

    @functools.cached_property
    def _without_library(self) -> WithoutLibrary | None:
        """What computes if the server is away and the library not here.

        Asks the server for the programs, while it is there.
        """
        if clients.local() is not None:
            return None
        client = clients.client_for(self.spec.client)
        return WithoutLibrary(
            self.spec, client.get_activation(self._activation)
        )

    def _call(
        self, arrays: Sequence[Array]
    ) -> tuple[Sequence[Array], dict[str, Any]]:
        """Returns the inputs, and the options of a call with them."""
        spec = self.spec
        options = dict(self._fixed_options)
        num_inputs = len(arrays) - len(spec.parameters)
        inputs = [self._sent(array) for array in arrays[:num_inputs]]
        if spec.parameters or spec.constants:
            values: dict[str, Any] = dict(spec.constants)
            for (name, axis), array in zip(
                spec.parameters, arrays[num_inputs:], strict=True
            ):
                if axis is None:
                    values[name] = float(array.item())
                else:
                    values[name] = PerAxis(_cast(array, inputs[0].dtype), axis)
            options["parameters"] = values
        return inputs, options

    def _sent(self, array: Array) -> Array:
        if self._wire_dtype is None or array.dtype != _FLOAT32:
            return array
        return array.astype(self._wire_dtype)

    def _named(
        self, values: Mapping[str, Array], dtype: np.dtype[Any]
    ) -> dict[str, Any]:
        """Returns values of variables as cotangents or tangents of a call."""
        numbers = {name for name, axis in self.spec.parameters if axis is None}
        return {
            name: float(array.item())
            if name in numbers
            else _cast(array, dtype)
            for name, array in values.items()
        }

    def _delivered(
        self,
        found: Mapping[str, Any],
        arrays: Sequence[Array],
        wrt: Sequence[str],
        out: Mapping[str, Array],
    ) -> list[Array]:
        """Returns the gradients in the dtypes of their variables."""
        of = dict(zip((*self.variables, GRAD_OUTPUT), arrays, strict=False))
        result = []
        for name in wrt:
            value = found[name]
            variable = of[name]
            if not isinstance(value, np.ndarray | DeviceArray):
                value = np.full(variable.shape, value, variable.dtype)
            value = _cast(value, variable.dtype)
            if name in out and value is not out[name]:
                out[name][...] = value
                value = out[name]
            result.append(value)
        return result

    def __copy__(self) -> Evaluator:
        return self

    def __deepcopy__(self, memo: object) -> Evaluator:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return evaluator, (self.spec,)


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _cast(array: Array, dtype: np.dtype[Any]) -> Array:
    return array if array.dtype == dtype else array.astype(dtype)


def _with_axis(activation: Activation, axis: int | None) -> Activation:
    return Activation(
        activation.text,
        activation.derivative,
        activation.constants,
        activation.exact,
        None,
        axis,
        activation.places,
    )
