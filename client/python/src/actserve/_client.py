"""The client: arrays in, arrays out."""

from __future__ import annotations

import itertools
import math
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Literal, cast

import grpc
import numpy as np
from numpy.typing import DTypeLike

from actserve import (
    _address,
    _advice,
    _arguments,
    _library,
    _overlap,
    _retry,
    _tensors,
    _trace,
    _values,
)
from actserve._activation import Activation
from actserve._advice import Advice
from actserve._arrays import device
from actserve._arrays import out as out_arrays
from actserve._arrays import rooms as result_rooms
from actserve._calls import Array, Calls, ListLostError
from actserve._errors import ActivationError
from actserve._info import (
    ActivationInfo,
    ServerInfo,
    server_info,
)
from actserve._replicas import Place
from actserve._residual import Residual
from actserve._security import Security
from actserve._values import Parameters
from actserve._ways import way_to
from actserve.v1 import service_pb2

# The most that a server takes (ServerLimits in the contract).
_MAX_HANDLES_IN_CALL = 1024
_SUBMITTED = ("forward", "forward_with", "jvp", "backward")


class Client:
    """Evaluates activations and their gradients, on a server or here.

    The argument `activation` is an Activation (see `actserve.activation`), the
    name of a built-in ("gelu") or an id ("sha256:..."). An Activation is
    registered at its first use, and again if the server has forgotten it.

    Inputs are arrays of float16, bfloat16 (ml_dtypes), float32 or float64, all
    of one dtype and shape. They may have any byte order and strides, and may be
    0-dimensional or empty. Python numbers and lists take the dtype of the
    arrays beside them, or float32. Results are new, writable arrays with the
    dtype and shape of the inputs.

    Where the client's address is a unix socket, and the server computes on a
    GPU of this machine, arrays may lie in its memory: what has
    `__cuda_array_interface__` or `__dlpack__`. They are used there, in the
    order of their stream, and so are the arrays for results, which must be
    given. docs/distances.md has the rules.

    Every method raises ActivationError if the server refuses or does not
    answer, and TypeError or ValueError for an argument that no call can carry:
    it names the argument and the value.

    Thread-safe. Usable as a context manager. Pickles as its address and
    options, a token among them. After a fork, a client that was in use refuses
    to work in the child; make a new one there.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        timeout: float = 60.0,
        max_attempts: int = _retry.MAX_ATTEMPTS,
        security: Security | None = None,
        device: str = "cpu",
        num_threads: int = 0,
        pure: bool = False,
    ):
        self.address = _address.resolve(
            address, can_compute=_library.path() is not None
        )
        self._timeout = _arguments.timeout_of(timeout)
        if self._timeout <= 0:
            raise ValueError(f"timeout {timeout} is not positive")
        self._max_attempts = max_attempts
        self._security = security or Security()
        self._device = device
        self._num_threads = num_threads
        self._pure = pure
        self._way = way_to(
            self.address,
            _library.Options(
                self._timeout,
                device,
                num_threads,
                max_attempts,
                self._security,
            ),
            pure,
        )
        self._calls = Calls(self._way, max_attempts)
        # What repeats calls, and the process that it is of.
        self._fast: Any = None
        self._fast_pid = 0
        self._sends_traces = self.address != _address.LOCAL

    def forward(
        self,
        activation: Activation | str,
        *inputs: Any,
        parameters: Parameters | None = None,
        axis: int | None = None,
        split_axis: int | None = None,
        element_offset: int = 0,
        out: Any = None,
        timeout: float | None = None,
    ) -> Array:
        """Returns activation(*inputs), element by element or row by row.

        Args:
          activation: The activation to evaluate.
          *inputs: One per tensor input, in order.
          parameters: Parameters that differ from their default, by name:
            numbers, or PerAxis for one value per channel.
          axis: The axis along which rows run, for an activation that reads
            rows; negative ones count from the last. None: that of the
            Activation.
          split_axis: Of a gate: one array holds all inputs, which are its
            equal parts along this axis, as in torch.nn.functional.glu. "*" then
            stands for all inputs wherever names are given or returned, and what
            belongs to it has the shape of that array. `axis`, `element_offset`
            and the axes of parameters are counted in a part.
          element_offset: The place of the first element in the tensor that the
            inputs are a piece of: random numbers are then those of the whole.
          out: Receives the result, of whose dtype and shape it is, and is
            returned: an array, or what has `__array_interface__` or
            `__dlpack__`. It may be an input. What it holds after an error is
            undefined. Inputs in the memory of a GPU need one there, which is
            no input.
          timeout: Seconds; None: the client's.
        """
        place = Place()
        plain = None
        if (
            timeout is None
            and parameters is None
            and axis is None
            and split_axis is None
            and type(element_offset) is int
            and not (self._sends_traces and _trace.headers())
        ):
            plain = element_offset
            if self._fast is not None:
                y = self._fast.run(False, activation, inputs, None, plain, out)
                if type(y) is tuple:
                    place = self._after_failure(activation, y)
                elif y is not None:
                    return cast(Array, y)
        deadline = self._deadline(timeout)
        arrays = _values.input_arrays(inputs)
        is_on_gpu = device.are_used(arrays)
        result = None
        if out is None and split_axis is None and not is_on_gpu:
            result = out_arrays.like(arrays)
        elif out is not None or is_on_gpu:
            shape = result_rooms.result_shape(
                self._calls, activation, arrays, split_axis, deadline
            )
            if shape is not None:  # else the server says what is wrong
                result = out_arrays.place(
                    "out", out, arrays[0].dtype, shape, is_on_gpu
                )
        room = result
        if isinstance(result, np.ndarray) and not result.flags.c_contiguous:
            room = np.empty_like(result, order="C")
        y, request = self._forward(
            activation,
            arrays,
            parameters,
            axis,
            split_axis,
            element_offset,
            () if room is None else (room,),
            deadline,
            place,
        )
        if plain is not None:
            self._remember(
                False, activation, inputs, arrays, None, plain, request, (y,)
            )
        if out is None or result is None:
            return y
        if y is not result:
            result[...] = y
        return cast(Array, out)

    def _forward(
        self,
        activation: Activation | str,
        arrays: list[Array],
        parameters: Parameters | None,
        axis: int | None,
        split_axis: int | None,
        element_offset: int,
        outputs: Sequence[Array],
        deadline: float,
        place: Place,
    ) -> tuple[Array, Any]:
        """Returns the output, and the request that was sent."""
        request = service_pb2.ForwardRequest(
            inputs=map(_tensors.to_proto, arrays),
            axis=_arguments.axis_of(activation, axis),
            split_axis=_arguments.split_axis_of(split_axis),
            element_offset=_arguments.integer(
                "element_offset", element_offset, bits=64
            ),
        )
        values, channels = _values.parameter_values(parameters, arrays)
        request.parameters.extend(values)
        response = service_pb2.ForwardResponse()
        payloads = self._calls.evaluate(
            "Forward",
            activation,
            request,
            arrays + channels,
            response,
            deadline,
            place,
            outputs,
        )
        (y,) = _values.take(payloads, [response.output])
        return y, request

    def _remember(
        self,
        is_backward: bool,
        activation: Activation | str,
        inputs: Sequence[Any],
        arrays: Sequence[Array],
        upstream: Any,
        options: Any,
        request: Any,
        outputs: Sequence[Array],
        names: tuple[str, ...] | None = None,
    ) -> None:
        """Lets a call like this one take the fast way from now on.

        Its arrays were the caller's own; in another case it is not fast.
        """
        given = inputs if upstream is None else (*inputs, upstream)
        if len(given) != len(arrays) or any(
            array is not own for array, own in zip(arrays, given, strict=True)
        ):
            return
        if self._fast is None or self._fast_pid != os.getpid():
            if self._fast_pid == os.getpid():
                return
            self._fast = self._way.fast_calls()
            self._fast_pid = os.getpid()
        if self._fast is not None:
            self._fast.remember(
                is_backward,
                activation,
                tuple(inputs),
                upstream,
                options,
                request.SerializeToString(),
                tuple(outputs),
                names,
            )

    def _prepared(
        self,
        is_backward: bool,
        activation: Activation | str,
        inputs: tuple[Array, ...],
        upstream: Array | None,
        options: Any,
    ) -> Any:
        """Returns a call like one that _remember() knows, by addresses.

        It has run() of `Prepared` in native/fast.c, of whose failures
        _after_failure() takes care. None: there is none.
        """
        if self._fast is None or self._fast_pid != os.getpid():
            return None
        return self._fast.prepared(
            is_backward, activation, inputs, upstream, options
        )

    def _after_failure(
        self, activation: Activation | str, failure: tuple[int, int]
    ) -> Place:
        """Raises the error of a fast call; registers what was unknown.

        Returns:
          The server to which the call goes then.
        """
        status, number = failure
        place = Place(number or None)
        try:
            self._way.raise_failed(status)
        except ActivationError as error:
            if error.reason != "ACTIVATION_UNKNOWN":
                raise
            self._calls.register_again(
                activation, self._deadline(None), place, error
            )
        return place

    def forward_with(
        self,
        activation: Activation | str,
        *inputs: Any,
        parameters: Parameters | None = None,
        axis: int | None = None,
        split_axis: int | None = None,
        element_offset: int = 0,
        partials: bool | Sequence[str] = False,
        keep_residual: bool = False,
        residual_lease: float | None = None,
        out: Any = None,
        partials_out: Mapping[str, Any] | None = None,
        timeout: float | None = None,
    ) -> tuple[Array, dict[str, Array], Residual | None]:
        """Returns the output, partial derivatives and a residual.

        Args:
          activation: The activation to evaluate.
          *inputs: One per tensor input, in order.
          parameters: Parameters that differ from their default, by name:
            numbers, or PerAxis for one value per channel.
          axis: The axis along which rows run, for an activation that reads
            rows; negative ones count from the last. None: that of the
            Activation.
          split_axis: The same as for `forward`.
          element_offset: The place of the first element in the tensor that the
            inputs are a piece of: random numbers are then those of the whole.
          partials: Inputs for which d(y)/d(input) is wanted, or True for all.
            The gradient of a loss is then partial * dL/dy, without a second
            call, but rounded once more than `backward` rounds. An activation
            that reads rows has none.
          keep_residual: Leave the inputs on the server for one
            backward(activation, residual=residual).
          residual_lease: Seconds to keep them; None: the server's default.
          out: The same as for `forward`.
          partials_out: By name of the input, what receives a partial, as `out`.
          timeout: Seconds; None: the client's.

        Returns:
          The output, d(y)/d(input) by name of the input, and the residual
          (None without keep_residual).
        """
        deadline = self._deadline(timeout)
        arrays = _values.input_arrays(inputs)
        axis = _arguments.axis_of(activation, axis)
        request = service_pb2.ForwardRequest(
            inputs=map(_tensors.to_proto, arrays),
            keep_residual=keep_residual,
            axis=axis,
            split_axis=_arguments.split_axis_of(split_axis),
            element_offset=_arguments.integer(
                "element_offset", element_offset, bits=64
            ),
        )
        values, channels = _values.parameter_values(parameters, arrays)
        request.parameters.extend(values)
        if residual_lease is not None:
            request.residual_lease.FromNanoseconds(round(residual_lease * 1e9))
        if partials is True:
            info = self._calls.info(activation, deadline, Place())
            request.partials.extend(_values.input_names(info, split_axis))
        elif partials:
            request.partials.extend(_arguments.names("partials", partials))

        wanted = {"out": out}
        for name in request.partials:
            given = (partials_out or {}).get(name)
            wanted[f"partials_out[{name!r}]"] = given
        rooms, ends = result_rooms.of_results(
            self._calls, activation, arrays, split_axis, deadline, wanted
        )
        response = service_pb2.ForwardResponse()
        place = Place()
        payloads = self._calls.evaluate(
            "Forward",
            activation,
            request,
            arrays + channels,
            response,
            deadline,
            place,
            rooms,
        )
        outputs = _values.take(payloads, [response.output, *response.partials])
        out_arrays.fill(outputs, ends)
        outputs = [
            found if given is None else given
            for found, given in zip(outputs, wanted.values(), strict=True)
        ]
        residual = None
        if keep_residual:
            device.forget_streams(arrays)
            residual = Residual(
                response.residual.handle or None,
                response.residual.lease.ToTimedelta().total_seconds(),
                arrays,
                parameters or {},
                axis,
                split_axis,
                element_offset,
                place.replica,
            )
        return (
            outputs[0],
            dict(zip(request.partials, outputs[1:], strict=True)),
            residual,
        )

    def jvp(
        self,
        activation: Activation | str,
        *inputs: Any,
        tangents: Mapping[str, Any],
        parameters: Parameters | None = None,
        axis: int | None = None,
        split_axis: int | None = None,
        element_offset: int = 0,
        out: Any = None,
        tangent_out: Any = None,
        timeout: float | None = None,
    ) -> tuple[Array, Array]:
        """Returns the output and its tangent: forward mode.

        The tangent is the sum of d(y)/d(variable) times the tangent of the
        variable. A declared gradient is used, and must be linear in the
        upstream gradient.

        Args:
          activation: The activation to evaluate.
          *inputs: The same as for `forward`.
          tangents: How inputs and parameters move, by name: an array like the
            input or the PerAxis values, or a number for any other parameter.
            What is not named stays.
          parameters: The same as for `forward`.
          axis: The same as for `forward`.
          split_axis: The same as for `forward`.
          element_offset: The same as for `forward`.
          out: The same as for `forward`.
          tangent_out: What receives the tangent, as `out`.
          timeout: Seconds; None: the client's.

        Raises:
          ValueError: `tangents` is empty.
        """
        if not _arguments.by_name("tangents", tangents):
            raise ValueError("tangents is empty")
        deadline = self._deadline(timeout)
        arrays = _values.input_arrays(inputs)
        place = Place()
        values, directions = _values.named_values(
            "tangents",
            tangents,
            self._calls.info(activation, deadline, place),
            arrays,
            split_axis,
            parameters,
        )
        parameter_values, channels = _values.parameter_values(
            parameters, arrays
        )
        request = service_pb2.ForwardRequest(
            inputs=map(_tensors.to_proto, arrays),
            parameters=parameter_values,
            axis=_arguments.axis_of(activation, axis),
            split_axis=_arguments.split_axis_of(split_axis),
            element_offset=_arguments.integer(
                "element_offset", element_offset, bits=64
            ),
            tangents=values,
        )
        wanted = {"out": out, "tangent_out": tangent_out}
        rooms, ends = result_rooms.of_results(
            self._calls,
            activation,
            arrays,
            split_axis,
            deadline,
            wanted,
            directions,
        )
        response = service_pb2.ForwardResponse()
        payloads = self._calls.evaluate(
            "Forward",
            activation,
            request,
            arrays + channels + directions,
            response,
            deadline,
            place,
            rooms,
        )
        y, tangent = _values.take(payloads, [response.output, response.tangent])
        out_arrays.fill((y, tangent), ends)
        return (
            y if out is None else out,
            tangent if tangent_out is None else tangent_out,
        )

    def backward(
        self,
        activation: Activation | str,
        *inputs: Any,
        grad_output: Any = None,
        wrt: Sequence[str] | None = None,
        residual: Residual | None = None,
        parameters: Parameters | None = None,
        axis: int | None = None,
        split_axis: int | None = None,
        element_offset: int = 0,
        order: int = 1,
        cotangents: Mapping[str, Any] | None = None,
        out: Mapping[str, Any] | None = None,
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """Returns the gradients of a loss: dL/dy times the derivative.

        With order=2 the loss is the sum of the cotangents times the gradients
        of order 1, as in a penalty on a gradient or a Hessian-vector product.

        Args:
          activation: The activation that was evaluated.
          *inputs: The same as for `forward`; none with `residual`.
          grad_output: dL/dy, of the dtype and shape of the result. None: ones.
          wrt: Names of inputs and parameters; with order=2 also "dL/dy", which
            stands for grad_output. None: all inputs.
          residual: The residual from forward_with, instead of inputs,
            parameters, axis, split_axis and element_offset. If the server has
            lost it, the inputs are sent again.
          parameters: The same as for `forward`.
          axis: The same as for `forward`. With `residual` it may be left out,
            and must mean the same axis if given.
          split_axis: The same as for `forward`; then `wrt` None means "*",
            the one gradient. With `residual` it may be left out, and must mean
            the same axis if given.
          element_offset: The same as for `forward`. With `residual` it may be
            left out, and must be the same if given.
          order: 1, or 2 for the gradient of the gradient.
          cotangents: With order=2: for each gradient that the loss contains,
            by name of the input or parameter, an array like it, or a number.
            At least one.
          out: By name, what receives gradients that are arrays, as `out` of
            `forward`.
          timeout: Seconds; None: the client's.

        Returns:
          The gradients by name: an array for each input and each parameter
          that is PerAxis, of its dtype and shape, and a float for every other
          parameter. Those of parameters, and of inputs that broadcast, are sums
          over all elements that read the value, added in float64 in an order
          that depends only on the shape.

        Raises:
          ValueError: `wrt` is empty.
        """
        place = Place()
        fast_wrt = None
        if (
            timeout is None
            and parameters is None
            and axis is None
            and split_axis is None
            and element_offset == 0
            and order == 1
            and residual is None
            and cotangents is None
            and (wrt is None or type(wrt) in (list, tuple))
            and not (self._sends_traces and _trace.headers())
        ):
            fast_wrt = () if wrt is None else tuple(wrt)
            if self._fast is not None:
                found = self._fast.run(
                    True, activation, inputs, grad_output, fast_wrt, out
                )
                if type(found) is tuple:
                    place = self._after_failure(activation, found)
                elif found is not None:
                    return cast(dict[str, Any], found)
        deadline = self._deadline(timeout)
        order = _arguments.integer("order", order, bits=32)
        element_offset = _arguments.integer(
            "element_offset", element_offset, bits=64
        )
        if residual is None:
            arrays = _values.input_arrays(inputs)
            axis = _arguments.axis_of(activation, axis)
        elif inputs or _arguments.by_name("parameters", parameters):
            raise TypeError("residual stands for the inputs and parameters")
        else:
            if axis is not None and not residual._has_axis(
                _arguments.integer("axis", axis, bits=32)
            ):
                raise ActivationError(
                    grpc.StatusCode.INVALID_ARGUMENT,
                    f"axis: {axis} is not that of the residual, "
                    f"{residual._axis}",
                )
            if split_axis is not None and not residual._has_split(split_axis):
                raise ActivationError(
                    grpc.StatusCode.INVALID_ARGUMENT,
                    f"split_axis: {split_axis} is not that of the residual, "
                    f"{residual._split_axis}",
                )
            if element_offset not in (0, residual._element_offset):
                raise ActivationError(
                    grpc.StatusCode.INVALID_ARGUMENT,
                    f"element_offset: {element_offset} is not that of the "
                    f"residual, {residual._element_offset}",
                )
            arrays, parameters = residual._inputs, residual._parameters
            axis, split_axis = residual._axis, residual._split_axis
            element_offset = residual._element_offset
        upstream: list[Array] = []
        request = service_pb2.BackwardRequest(
            wrt=() if wrt is None else _arguments.names("wrt", wrt),
            axis=axis,
            split_axis=_arguments.split_axis_of(split_axis),
            element_offset=element_offset,
        )
        if wrt is not None and not request.wrt:
            raise ValueError(
                "wrt is empty: name inputs or parameters; None is all inputs"
            )
        if grad_output is not None:
            dtype = arrays[0].dtype if arrays else None
            upstream = _tensors.to_arrays([grad_output], ["grad_output"], dtype)
            request.grad_output.CopyFrom(_tensors.to_proto(upstream[0]))
        if order != 1:
            request.order = order
        if _arguments.by_name("cotangents", cotangents):
            values, directions = _values.named_values(
                "cotangents",
                cotangents or {},
                self._calls.info(activation, deadline, place),
                arrays,
                split_axis,
                parameters,
            )
            request.cotangents.extend(values)
            upstream += directions

        rooms = result_rooms.of_gradients(
            self._calls,
            activation,
            arrays,
            upstream,
            parameters,
            split_axis,
            request.wrt,
            out,
            deadline,
        )
        response = service_pb2.BackwardResponse()
        payloads: Sequence[memoryview | Array] | None = None
        if residual is not None and residual.is_held:
            place.replica = residual._replica
            request.residual = residual._handle or b""
            try:
                payloads = self._calls.evaluate(
                    "Backward",
                    activation,
                    request,
                    upstream,
                    response,
                    deadline,
                    place,
                    rooms,
                )
            except ActivationError as error:
                if error.reason != "RESIDUAL_GONE":
                    raise
                residual._handle = None
                request.residual = b""
        if payloads is None:
            request.inputs.extend(map(_tensors.to_proto, arrays))
            parameter_values, channels = _values.parameter_values(
                parameters, arrays
            )
            request.parameters.extend(parameter_values)
            payloads = self._calls.evaluate(
                "Backward",
                activation,
                request,
                arrays + channels + upstream,
                response,
                deadline,
                place,
                rooms,
            )

        gradients = response.gradients
        taken = _values.take(
            payloads, [g.tensor for g in gradients if g.HasField("tensor")]
        )
        if fast_wrt is not None and len(taken) == len(gradients):
            self._remember(
                True,
                activation,
                inputs,
                arrays + upstream,
                grad_output,
                fast_wrt,
                request,
                taken,
                tuple(g.name for g in gradients),
            )
        tensors = iter(taken)
        found = {
            g.name: next(tensors) if g.HasField("tensor") else g.scalar
            for g in gradients
        }
        return found if out is None else out_arrays.deliver(found, out)

    def submit(
        self,
        method: Literal["forward", "forward_with", "jvp", "backward"],
        activation: Activation | str,
        *inputs: Any,
        **options: Any,
    ) -> Future[Any]:
        """Begins a call, and returns the future of what it returns.

        For calls that do not need one another: they are all on the way at the
        same time, and their servers compute them so. Up to 32 of a process
        are; more wait for their turn. In this process ("local") a large tensor
        has all threads anyway, and nothing is gained.

        Its cancel() takes back a call that waits. close() ends one that is on
        its way, whose future then raises ActivationError.

        Args:
          method: The name of a method of this class.
          activation: Its argument, as are the following.
          *inputs: Do not write to them, or to `out`, before it is done.
          **options: The others.

        Raises:
          ValueError: The method is none of those. What else a call raises, its
            future does.
        """
        if method not in _SUBMITTED:
            raise ValueError(
                f"method is {method!r}, not one of "
                f"{', '.join(map(repr, _SUBMITTED))}"
            )
        return _overlap.submit(
            getattr(self, method), activation, *inputs, **options
        )

    def share_device(self, array: Any) -> None:
        """Shares the allocation of an array on a GPU with the server.

        Calls do so by themselves; this tells whether they can.

        Args:
          array: What has `__cuda_array_interface__`, or `__dlpack__`, in the
            memory of a GPU.

        Raises:
          ActivationError: UNIMPLEMENTED, INVALID_ARGUMENT, FAILED_PRECONDITION
            or RESOURCE_EXHAUSTED: it cannot be shared, and why, and what to do
            instead. UNAVAILABLE: the server does not answer.
          TypeError, ValueError: It is no such array.
        """
        if not device.is_there(array):
            raise TypeError(
                f"array is of type {type(array).__name__}, not in the memory "
                f"of a GPU"
            )
        self._way.share_device(device.view(array, "array").pointer)

    def forget_device(self, array: Any = None) -> None:
        """Has the server give up the allocation of an array on a GPU.

        Call it before that is freed, while no call uses it. What was freed
        without is given up when a call meets another allocation.

        Args:
          array: As of share_device(); None: all allocations of this client.
        """
        pointer = None
        if array is not None:
            pointer = device.view(array, "array").pointer
        self._way.forget_device(pointer)

    def register_activation(
        self, activation: Activation, *, timeout: float | None = None
    ) -> ActivationInfo:
        """Registers an activation, as its first use would. Idempotent.

        Raises:
          ActivationError: INVALID_ARGUMENT, the text has errors: see
            `diagnostics`.
        """
        return self._calls.register(
            activation, self._deadline(timeout), Place()
        )

    def get_activation(
        self, activation: Activation | str, *, timeout: float | None = None
    ) -> ActivationInfo:
        """Returns everything that the server knows about an activation."""
        return self._calls.get(
            activation, self._deadline(timeout), with_gradients=True
        )

    def list_activations(
        self, *, with_texts: bool = False, timeout: float | None = None
    ) -> tuple[ActivationInfo, ...]:
        """Returns the built-ins, then what was registered with this server.

        Args:
          with_texts: Fill `text`.
          timeout: Seconds for all pages of the list; None: the client's.
        """
        deadline = self._deadline(timeout)
        place = Place()
        for round_ in itertools.count(1):
            try:
                return self._calls.list(with_texts, deadline, place)
            except ListLostError as lost:
                if round_ >= self._max_attempts:
                    raise lost.failure from None
        raise AssertionError("unreachable")

    def release_residuals(
        self, *residuals: Residual, timeout: float | None = None
    ) -> int:
        """Frees residuals that no Backward will use.

        Returns:
          How many of them the server still held.

        Raises:
          TypeError: An argument is no Residual.
        """
        for residual in residuals:
            if not isinstance(residual, Residual):
                raise TypeError(
                    f"{residual!r} is no Residual; give each one as an argument"
                )
        deadline = self._deadline(timeout)
        by_replica: dict[Any, list[Residual]] = {}
        for residual in residuals:
            if residual._handle is not None:
                by_replica.setdefault(residual._replica, []).append(residual)
        num_released = 0
        for replica, held in by_replica.items():
            place = Place(replica)
            for i in range(0, len(held), _MAX_HANDLES_IN_CALL):
                request = service_pb2.ReleaseResidualsRequest(
                    handles=[
                        residual._handle or b""
                        for residual in held[i : i + _MAX_HANDLES_IN_CALL]
                    ]
                )
                response = service_pb2.ReleaseResidualsResponse()
                self._calls.control(
                    "ReleaseResiduals", request, response, deadline, place
                )
                num_released += response.num_released
        for residual in residuals:
            residual._handle = None
        return num_released

    def get_server_info(self, *, timeout: float | None = None) -> ServerInfo:
        """Returns the server's version, devices, dtypes, limits, addresses."""
        response = service_pb2.ServerInfo()
        self._calls.control(
            "GetServerInfo",
            service_pb2.GetServerInfoRequest(),
            response,
            self._deadline(timeout),
        )
        return server_info(response)

    def health(self, *, timeout: float | None = None) -> bool:
        """Returns whether the server accepts work; False while it drains.

        Of several servers: whether one does. The timeout bounds all answers.

        Raises:
          ActivationError: UNAVAILABLE, nothing answers. Each is asked once
            only.
        """
        return self._way.health(self._deadline(timeout))

    def empty(
        self, shape: int | Sequence[int], dtype: DTypeLike = "float32"
    ) -> Array:
        """Returns a new array, with undefined contents.

        Where this client shares memory with its server (its address is a unix
        socket, and the library is here), forward() and backward() use such
        arrays where they lie, as inputs and as `out`; others are copied in and
        out. Elsewhere it is an array like any other. It may outlive the client.

        Args:
          shape: Its dimensions.
          dtype: float16, bfloat16 (ml_dtypes), float32 or float64.

        Raises:
          MemoryError: The system has no such memory.
          TypeError, ValueError: There is no such array.
        """
        _tensors.check_dtype(np.dtype(dtype))
        dimensions = shape if isinstance(shape, Sequence) else (shape,)
        size = math.prod(map(int, dimensions)) * np.dtype(dtype).itemsize
        if not 0 < size <= sys.maxsize:
            return np.empty(shape, dtype)  # or the error of NumPy
        return np.ndarray(shape, dtype, self._way.allocate(size))

    def advise(
        self,
        activation: Activation | str,
        shape: int | Sequence[int],
        dtype: DTypeLike = "float32",
        *,
        axis: int | None = None,
        beside: Callable[[], Any] | None = None,
        seconds: float = 0.5,
    ) -> Advice:
        """Measures a training step by each way to an engine from here.

        The ways are this process, if the library is here; this client with
        arrays of empty(), if its address is a unix socket; and this client with
        any arrays. print() shows the result, with what to take.

        Args:
          activation: What to evaluate.
          shape: Of each input.
          dtype: Of the inputs.
          axis: As of forward().
          beside: A function to time as well, such as a framework's own forward
            on an array of that shape.
          seconds: How long each way is measured.

        Raises:
          ConnectionError: No way can be measured.
        """
        return _advice.advise(
            self, activation, shape, dtype, axis, beside, seconds
        )

    def close(self) -> None:
        """Ends calls in progress and the connections. Idempotent."""
        self._way.close()
        self._fast = None

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<actserve client of {self.address}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (
            self.address,
            self._timeout,
            self._max_attempts,
            self._security,
            self._device,
            self._num_threads,
            self._pure,
        )

    def _deadline(self, timeout: float | None) -> float:
        if timeout is None:
            timeout = self._timeout
        return time.monotonic() + _arguments.timeout_of(timeout)


def _restore(
    address: str,
    timeout: float,
    max_attempts: int,
    security: Security,
    device: str,
    num_threads: int,
    pure: bool,
) -> Client:
    return Client(
        address,
        timeout=timeout,
        max_attempts=max_attempts,
        security=security,
        device=device,
        num_threads=num_threads,
        pure=pure,
    )
