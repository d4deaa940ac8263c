"""Activations in Keras 3, on TensorFlow, PyTorch and JAX: a layer.

>>> import keras
>>> import actserve, actserve.keras
>>> spiky = actserve.activation('''
... def spiky(x):
...     r = x % 1
...     return r if r <= 0.5 else 0
... ''')
>>> model = keras.Sequential([
...     keras.layers.Dense(128),
...     actserve.keras.Activation(spiky),
...     keras.layers.Dense(10),
... ])
>>> model(keras.ops.ones((2, 64))).shape[1]
10

KERAS_BACKEND chooses the backend, as for all of Keras; what a gradient may do
there is said in actserve.tensorflow, actserve.torch and actserve.jax.
"""

from actserve.keras._layer import Activation

__all__ = ["Activation"]
