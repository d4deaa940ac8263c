"""Activations in TensorFlow (2.15 or newer): a function and a tf.Module.

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

Gradients can be differentiated once more, and forward mode serves. In eager
mode, tensors of the host are read where they lie. A tf.function or a graph of a
session calls back into this process: XLA cannot compile that, and a SavedModel
cannot contain it.
"""

from actserve.tensorflow._function import apply
from actserve.tensorflow._module import Activation

__all__ = ["Activation", "apply"]
