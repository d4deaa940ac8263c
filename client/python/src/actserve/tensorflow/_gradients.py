"""An activation as an operation with gradients of two orders."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from actserve._bridge import Evaluator
from actserve.tensorflow._running import is_followed, run

_GRAD_OUTPUT = "dL/dy"


def differentiable(
    of: Evaluator,
    tensors: Sequence[tf.Tensor],
    result: tf.TensorSpec,
    fixed: Collection[str] = (),
) -> tf.Tensor:
    """Returns the activation of `tensors`, which has a gradient.

    Nothing is computed or kept for gradients that nobody can ask for.

    Args:
      of: What evaluates it.
      tensors: Values of `of.variables`, in order.
      result: The dtype, and what is known of the shape.
      fixed: Variables without a gradient.
    """
    followed = _followed(of.variables, tensors)
    eager = tf.executing_eagerly()
    if eager and not followed:
        return _forward(of, tensors, result)
    way = "stateless"
    if followed or of.spec.gradient == "partials":
        dtype = np.dtype(tensors[0].dtype.as_numpy_dtype)
        way = of.gradient_way(dtype, keeps=eager)
    # A graph can be differentiated by what no tape follows now.
    candidates = followed if eager else of.variables
    wrt = tuple(name for name in candidates if name not in fixed)

    @tf.custom_gradient
    def forward(*tensors: tf.Tensor) -> tuple[tf.Tensor, Callable[..., Any]]:
        partial = residual = None
        if way == "partials":
            y, partial = _forward_with_partial(of, tensors, result)
        elif way == "residual":
            y, residual = _forward_with_residual(of, tensors, result)
        else:
            y = _forward(of, tensors, result)

        def gradient(dy: tf.Tensor) -> list[tf.Tensor | None]:
            found = _backward(of, wrt, tensors, dy, partial, residual)
            return _by_variable(of.variables, wrt, found)

        return y, gradient

    return forward(*tensors)


def _forward(
    of: Evaluator, tensors: Sequence[tf.Tensor], result: tf.TensorSpec
) -> tf.Tensor:
    def kernel(arrays: Sequence[Any], out: Sequence[Any] | None) -> list[Any]:
        return [of.forward(arrays, out=out[0] if out else None)]

    return run(of.name, kernel, tensors, [result])[0]


def _forward_with_partial(
    of: Evaluator, tensors: Sequence[tf.Tensor], result: tf.TensorSpec
) -> list[tf.Tensor]:
    def kernel(arrays: Sequence[Any], out: Sequence[Any] | None) -> list[Any]:
        y, (partial,) = of.forward_with_partials(arrays)
        return [y, partial]

    return run(of.name, kernel, tensors, [result, result])


def _forward_with_residual(
    of: Evaluator, tensors: Sequence[tf.Tensor], result: tf.TensorSpec
) -> tuple[tf.Tensor, Any]:
    residual = None

    def kernel(arrays: Sequence[Any], out: Sequence[Any] | None) -> list[Any]:
        nonlocal residual
        y, residual = of.forward_with_residual(arrays)
        return [y]

    (y,) = run(of.name, kernel, tensors, [result])
    return y, residual


def _backward(
    of: Evaluator,
    wrt: tuple[str, ...],
    tensors: Sequence[tf.Tensor],
    grad_output: tf.Tensor,
    partial: tf.Tensor | None,
    residual: Any,
) -> Sequence[tf.Tensor]:
    """Returns the gradients of `wrt`, which have gradients once more."""

    def kernel(arrays: Sequence[Any], out: Sequence[Any] | None) -> list[Any]:
        dy, *values = arrays
        places = dict(zip(wrt, out, strict=True)) if out else None
        return of.backward(values, dy, wrt, residual=residual, out=places)

    def compute(dy: tf.Tensor, *tensors: tf.Tensor) -> list[tf.Tensor]:
        if partial is not None:
            return [dy * partial]
        name = f"{of.name}_gradient"
        likes = _likes(of.variables, tensors, wrt)
        return run(name, kernel, [dy, *tensors], likes)

    names = (_GRAD_OUTPUT, *of.variables)
    wanted = names
    if tf.executing_eagerly():
        wanted = _followed(names, [grad_output, *tensors])
        if not wanted:
            return compute(grad_output, *tensors)

    @tf.custom_gradient
    def backward(
        dy: tf.Tensor, *tensors: tf.Tensor
    ) -> tuple[Sequence[tf.Tensor], Callable[..., Any]]:
        def gradient(*cotangents: tf.Tensor) -> list[tf.Tensor | None]:
            found = _second_order(of, wrt, wanted, dy, tensors, cotangents)
            return _by_variable(names, wanted, found)

        return compute(dy, *tensors), gradient

    return backward(*_here([grad_output, *tensors]))  # type: ignore[no-any-return]


def _second_order(
    of: Evaluator,
    wrt: tuple[str, ...],
    wanted: tuple[str, ...],
    grad_output: tf.Tensor,
    tensors: Sequence[tf.Tensor],
    cotangents: Sequence[tf.Tensor],
) -> Sequence[tf.Tensor]:
    """Returns the gradients of `wanted` of the sum of cotangent * gradient.

    They are linear in the cotangents, and have a gradient by those, which
    forward mode over a gradient needs: Hessians are symmetric.
    """
    names = (_GRAD_OUTPUT, *of.variables)
    number = len(cotangents)

    def kernel(arrays: Sequence[Any], out: Sequence[Any] | None) -> list[Any]:
        dy, *values = arrays[number:]
        # As the values of parameters, whose gradients have their own dtype.
        rounded = [a.astype(dy.dtype, copy=False) for a in arrays[:number]]
        directions = dict(zip(wrt, rounded, strict=True))
        return of.second_order(values, dy, directions, wanted)

    @tf.custom_gradient
    def second(
        *arguments: tf.Tensor,
    ) -> tuple[Sequence[tf.Tensor], Callable[..., Any]]:
        values = arguments[number:]
        found = run(
            f"{of.name}_second_order",
            kernel,
            arguments,
            _likes(names, values, wanted),
        )

        def gradient(*directions: tf.Tensor) -> list[tf.Tensor]:
            by_name = dict(zip(wanted, directions, strict=True))
            dy, *inputs = values
            total = [tf.zeros_like(cotangent) for cotangent in cotangents]
            if _GRAD_OUTPUT in by_name:
                direction = by_name.pop(_GRAD_OUTPUT)
                total = list(_backward(of, wrt, inputs, direction, None, None))
            if by_name:
                more = _second_order(
                    of,
                    tuple(by_name),
                    wrt,
                    dy,
                    inputs,
                    list(by_name.values()),
                )
                total = [a + b for a, b in zip(total, more, strict=True)]
            return [*total, *map(tf.zeros_like, values)]

        return found, gradient

    guarded = _without_gradient(of.name, [grad_output, *tensors])
    return second(*_here(cotangents), *guarded)  # type: ignore[no-any-return]


def _without_gradient(
    name: str, tensors: Sequence[tf.Tensor]
) -> Sequence[tf.Tensor]:
    """Returns `tensors`; their gradient is an error."""

    def kernel(arrays: Sequence[Any], out: Sequence[Any] | None) -> list[Any]:
        raise NotImplementedError(
            f"{name}: gradients in TensorFlow have two orders, and this is the "
            f"third; an activation whose text is the derivative has two more"
        )

    @tf.custom_gradient
    def guarded(
        *tensors: tf.Tensor,
    ) -> tuple[Sequence[tf.Tensor], Callable[..., Any]]:
        def gradient(*directions: tf.Tensor) -> list[tf.Tensor]:
            # Of graphs TensorFlow makes gradients that it then does not use.
            likes = [tf.TensorSpec(d.shape, d.dtype) for d in directions]
            return run(f"{name}_third_order", kernel, directions, likes)

        return [tf.identity(tensor) for tensor in tensors], gradient

    return guarded(*_here(tensors))  # type: ignore[no-any-return]


def _here(tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Returns tensors of the graph that is built now.

    tf.custom_gradient loses those of the graph of a forward while it builds the
    graph of its backward.
    """
    if tf.executing_eagerly():
        return list(tensors)
    return [tf.identity(tensor) for tensor in tensors]


def _followed(
    names: Sequence[str], tensors: Sequence[tf.Tensor]
) -> tuple[str, ...]:
    return tuple(
        name
        for name, tensor in zip(names, tensors, strict=True)
        if is_followed(tensor)
    )


def _likes(
    names: Sequence[str], tensors: Sequence[tf.Tensor], wanted: Sequence[str]
) -> list[tf.TensorSpec]:
    by_name = dict(zip(names, tensors, strict=True))
    return [
        tf.TensorSpec(by_name[name].shape, by_name[name].dtype)
        for name in wanted
    ]


def _by_variable(
    names: Sequence[str], wanted: Sequence[str], found: Sequence[tf.Tensor]
) -> list[tf.Tensor | None]:
    by_name = dict(zip(wanted, found, strict=True))
    return [by_name.get(name) for name in names]
