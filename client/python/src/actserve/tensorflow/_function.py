"""An activation as a function of tensors."""

from __future__ import annotations

import functools
import numbers
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

import actserve
from actserve._bridge import Evaluator, Spec, evaluator
from actserve._bridge.spec import kept
from actserve.tensorflow._gradients import differentiable

Activatable = actserve.Activation | Callable[..., Any] | str

_DTYPES = (tf.float16, tf.bfloat16, tf.float32, tf.float64)


@tf.autograph.experimental.do_not_convert
def apply(
    activation: Activatable,
    *inputs: Any,
    parameters: Mapping[str, Any] | None = None,
    axis: int | None = None,
    split_axis: int | None = None,
    channel_axis: int = -1,
    element_offset: int = 0,
    client: actserve.Client | str | None = None,
    gradient: str = "auto",
    fallback: str | None = None,
    wire_dtype: str | None = None,
    timeout: float | None = None,
) -> tf.Tensor:
    """Returns activation(*inputs), differentiable.

    >>> x = tf.constant([-1.0, 0.0, 2.0])
    >>> with tf.GradientTape() as tape:
    ...     tape.watch(x)
    ...     y = actserve.tensorflow.apply(
    ...         "leaky_relu", x, parameters={"negative_slope": 0.25}
    ...     )
    >>> print(y.numpy(), tape.gradient(y, x).numpy())
    [-0.25  0.    2.  ] [0.25 0.25 1.  ]

    Args:
      activation: An actserve.Activation, a Python function, a text, or the name
        or id of an activation.
      *inputs: Tensors, or what TensorFlow makes them of, of float16, bfloat16,
        float32 or float64, all of one dtype; they broadcast.
      parameters: By name. A number is a constant. A tensor without axes is one
        number, which can have a gradient; so a number that changes from call to
        call, such as a seed, is best a tensor. Another tensor has one value for
        each element of the axis `channel_axis` of the inputs, or of that of
        actserve.PerAxis(tensor, axis). The rank must be known.
      axis: The axis along which rows run; None: that of the activation.
      split_axis: Of a gate: one tensor holds all inputs, its equal parts along
        this axis.
      channel_axis: That of parameters with a value per channel; negative ones
        count from the last.
      element_offset: The place of the first element in the tensor that the
        inputs are a piece of, for random numbers.
      client: A Client, or an address as of actserve.connect(). None: as
        connect() chooses.
      gradient: "auto", "partials", "residual" or "stateless". In a graph, which
        may run twice or never, nothing is kept at a server: "residual" is
        "stateless" there, and "auto" too unless a tape follows the inputs.
      fallback: "local": compute in this process while no server answers.
      wire_dtype: "bfloat16": float32 tensors are rounded to bfloat16, and
        travel and are computed so.
      timeout: Seconds for a call; None: the client's.

    Raises:
      ActivationError: The source of the activation cannot be taken, or its text
        has errors; or, of eager tensors, the server refuses or does not answer.
        What fails in a graph is a tf.errors.OpError with the same text.
      NotImplementedError: The graph is for XLA (jit_compile=True), or for a
        SavedModel.
      TypeError: A tensor has another dtype than it may have, or than the first;
        or a parameter is unknown.
      ValueError: There are too few or too many inputs, shapes do not fit, or an
        option has none of its values.
    """
    tensors = to_tensors(inputs)
    spec = kept(
        activation,
        client,
        (),
        (),
        axis,
        split_axis,
        element_offset,
        gradient,
        fallback,
        wire_dtype,
        timeout,
    )
    return call(spec, tensors, parameters or {}, channel_axis)


def call(
    spec: Spec,
    inputs: Sequence[tf.Tensor],
    parameters: Mapping[str, Any],
    channel_axis: int,
) -> tf.Tensor:
    """Returns the activation of a Spec with more parameters; as apply()."""
    places: list[tuple[str, int | None]] = []
    constants: list[tuple[str, float]] = []
    values = []
    fixed = set()
    for name, value in parameters.items():
        if isinstance(value, numbers.Real):
            constants.append((name, value))  # type: ignore[arg-type]
            continue
        axis = channel_axis
        if isinstance(value, actserve.PerAxis):
            value, axis = value.values, value.axis
        tensor = tf.convert_to_tensor(value)
        if tensor.dtype.is_integer:
            tensor = tf.cast(tensor, tf.float64)  # a seed
            fixed.add(name)
        if tensor.dtype not in _DTYPES:
            raise TypeError(
                f"parameters[{name!r}] is of {tensor.dtype.name}, not one of "
                f"{_names(_DTYPES)}"
            )
        if tensor.shape.rank is None:
            raise ValueError(
                f"parameters[{name!r}] has a rank that is not known here: use "
                f"tf.ensure_shape()"
            )
        places.append((name, axis if tensor.shape.rank else None))
        values.append(tensor)
    if places or constants:
        spec = spec.with_parameters(tuple(places), tuple(constants))
    of = evaluator(spec)
    _check_dtypes(of, inputs)
    shape = _result_shape(of, [x.shape for x in inputs])
    _check_axis(of, shape)
    _check_values(of, shape, values)
    result = tf.TensorSpec(shape, inputs[0].dtype)
    inputs = _with_one_of_all(inputs, shape)
    return differentiable(of, [*inputs, *values], result, fixed)


def to_tensors(inputs: Sequence[Any]) -> list[tf.Tensor]:
    """Returns inputs as tensors; Python's numbers take the dtype of others."""
    hint = next((x.dtype for x in inputs if hasattr(x, "dtype")), None)
    hint = None if hint is None else tf.as_dtype(hint)
    return [tf.convert_to_tensor(x, dtype_hint=hint) for x in inputs]


def _check_dtypes(of: Evaluator, inputs: Sequence[tf.Tensor]) -> None:
    for i, x in enumerate(inputs):
        if x.dtype not in _DTYPES:
            raise TypeError(
                f"{of.name}: inputs[{i}] is of {x.dtype.name}, not one of "
                f"{_names(_DTYPES)}"
            )
        if x.dtype != inputs[0].dtype:
            raise TypeError(
                f"{of.name}: inputs[{i}] is of {x.dtype.name}, but inputs[0] "
                f"of {inputs[0].dtype.name}"
            )


def _result_shape(
    of: Evaluator, shapes: Sequence[tf.TensorShape]
) -> tf.TensorShape:
    """Returns what is known of the shape of the result."""
    if all(shape.is_fully_defined() for shape in shapes):
        return tf.TensorShape(of.result_shape([s.as_list() for s in shapes]))
    if len(shapes) != len(of.inputs):
        of.result_shape([()] * len(shapes))  # raises
    shape = functools.reduce(tf.broadcast_static_shape, shapes)
    split_axis = of.spec.split_axis
    if split_axis is None or shape.rank is None:
        return shape
    # A length that splits stands for one that is not known.
    parts = len(of.info.inputs)
    known = of.result_shape([[parts if n is None else n for n in shape]])
    return tf.TensorShape(
        [None if n is None else m for n, m in zip(shape, known, strict=True)]
    )


def _with_one_of_all(
    inputs: Sequence[tf.Tensor], shape: tf.TensorShape
) -> Sequence[tf.Tensor]:
    """Returns the inputs, of which one has the shape of all, as a call needs.

    Args:
      inputs: The inputs.
      shape: What is known of the shape to which they broadcast.
    """
    if len(inputs) == 1:
        return inputs
    if shape.is_fully_defined():
        if any(x.shape == shape for x in inputs):
            return inputs
        return [tf.broadcast_to(inputs[0], shape), *inputs[1:]]
    together = functools.reduce(
        tf.broadcast_dynamic_shape, map(tf.shape, inputs)
    )
    first = tf.broadcast_to(inputs[0], together)
    return [tf.ensure_shape(first, shape), *inputs[1:]]


def _check_axis(of: Evaluator, shape: tf.TensorShape) -> None:
    axis = of.spec.axis
    if axis is None or shape.rank is None:
        return
    if not -shape.rank <= axis < shape.rank:
        raise ValueError(
            f"{of.name}: rows run along axis {axis}, which is none of a result "
            f"of shape {shape}"
        )


def _check_values(
    of: Evaluator, shape: tf.TensorShape, values: Sequence[tf.Tensor]
) -> None:
    """Refuses values per channel that are not as many as the channels."""
    if shape.rank is None:
        return
    places = of.spec.parameters
    for (name, axis), value in zip(places, values, strict=True):
        if axis is None:
            continue
        if not -shape.rank <= axis < shape.rank:
            raise ValueError(
                f"{of.name}: {name} has a value per channel, and axis {axis} "
                f"is none of a result of shape {shape}"
            )
        first = axis % shape.rank
        fits = shape[first : first + value.shape.rank]
        if not value.shape.is_compatible_with(fits):
            raise ValueError(
                f"{of.name}: {name} has the shape {value.shape}, and axis "
                f"{axis} and those after it of the result {fits}"
            )


def _names(dtypes: Sequence[tf.DType]) -> str:
    return ", ".join(dtype.name for dtype in dtypes)
