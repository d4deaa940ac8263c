"""Activations in TensorFlow (2.20 or newer): a function and an object.

>>> import tensorflow as tf
>>> import actserve, actserve.tensorflow
>>> spiky = actserve.activation('''
... def spiky(x):
...     r = x % 1
...     return r if r <= 0.5 else 0
... ''')
>>> x = tf.constant([0.25, 0.75, 1.25])
>>> with tf.GradientTape() as tape:
...     tape.watch(x)
...     y = actserve.tensorflow.apply(spiky, x)
>>> print(y.numpy(), tape.gradient(y, x).numpy())
[0.25 0.   0.25] [1. 0. 1.]

Gradients can be differentiated once more, and by tf.autodiff in forward mode.
Everything works on eager tensors, in tf.function, and in the graphs and
sessions of tf.compat.v1. In a graph an activation is a tf.numpy_function: it
runs in the process that made the graph, is no part of a SavedModel, and cannot
be compiled by XLA; trying either is a NotImplementedError.
"""

from actserve.tensorflow._function import apply
from actserve.tensorflow._module import Activation

__all__ = ["Activation", "apply"]
