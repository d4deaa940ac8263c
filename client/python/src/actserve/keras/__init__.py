"""Activations in Keras 3: a layer, on TensorFlow, PyTorch and JAX.

>>> import keras
>>> import actserve, actserve.keras
>>> spiky = actserve.activation('''
... def spiky(x):
...     r = x % 1
...     return r if r <= 0.5 else 0
... ''')
>>> model = keras.Sequential(
...     [
...         keras.Input([64]),
...         keras.layers.Dense(128),
...         actserve.keras.Activation(spiky),
...         keras.layers.Dense(10),
...     ]
... )
>>> model.output_shape
(None, 10)

It computes by actserve.tensorflow, actserve.torch or actserve.jax, as
keras.config.backend() says; what holds there holds here.
"""

from actserve.keras._layer import Activation

__all__ = ["Activation"]
