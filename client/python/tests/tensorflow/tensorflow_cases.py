"""What the tests of actserve.tensorflow share."""

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

import actserve.tensorflow


def apply(activation, *inputs, **options):
    """actserve.tensorflow.apply() in this process."""
    return actserve.tensorflow.apply(
        activation, *inputs, **{"client": "local"} | options
    )


def module(activation, **options):
    """actserve.tensorflow.Activation() in this process."""
    return actserve.tensorflow.Activation(
        activation, **{"client": "local"} | options
    )


def swish(x, beta):
    """TensorFlow's own x * sigmoid(beta * x)."""
    return x * tf.sigmoid(beta * x)


def spiky(x):
    """TensorFlow's own spiky."""
    r = tf.math.floormod(x, 1)
    return tf.where(r <= 0.5, r, tf.zeros_like(r))


def normal(*shape, dtype="float32", seed=1):
    """The same numbers again."""
    values = np.random.default_rng(seed).normal(size=shape)
    return tf.constant(values, dtype)


def gradients(f, *inputs, order=1):
    """Returns y, and the gradients of sum(sin(y)), of the order."""
    inputs = [tf.convert_to_tensor(x) for x in inputs]
    with tf.GradientTape() as outer:
        outer.watch(inputs)
        with tf.GradientTape() as inner:
            inner.watch(inputs)
            y = f(*inputs)
            loss = tf.reduce_sum(tf.sin(y))
        found = inner.gradient(loss, inputs)
        if order == 2:
            loss = tf.add_n([tf.reduce_sum(tf.cos(g)) for g in found])
    if order == 2:
        found = outer.gradient(loss, inputs)
    return [y.numpy(), *(g.numpy() for g in found)]


def assert_close(found, wanted, **tolerance):
    """Compares lists of arrays, shapes and dtypes included."""
    for one, other in zip(found, wanted, strict=True):
        one, other = np.asarray(one), np.asarray(other)
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
        np.testing.assert_allclose(
            one.astype(np.float64), other.astype(np.float64), **tolerance
        )
