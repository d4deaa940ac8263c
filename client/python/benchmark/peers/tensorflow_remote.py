"""A remote device of TensorFlow, over gRPC."""

from __future__ import annotations

import os
from typing import Any

_WORKER = "/job:worker/replica:0/task:0/device:CPU:0"
_HERE = "/job:localhost/replica:0/task:0/device:CPU:0"


def serve(port: int) -> None:
    """Serves clients until it is killed."""
    tf = _tensorflow()
    cluster = tf.train.ClusterSpec({"worker": [f"127.0.0.1:{port}"]})
    tf.distribute.Server(cluster, job_name="worker", task_index=0).join()


def by_tape(port: int) -> Any:
    """Steps as a training makes them: forward, a loss here, and backward."""
    tf = _connected(port)
    silu = tf.function(tf.nn.silu)

    def step_of(values: Any, gradients: Any) -> Any:
        x, dy = tf.constant(values), tf.constant(gradients)

        def call() -> Any:
            with tf.GradientTape() as tape:
                tape.watch(x)
                with tf.device(_WORKER):
                    y = silu(x)
                with tf.device(_HERE):
                    y = tf.identity(y)
                    loss = tf.tensordot(y, dy, 1)
            with tf.device(_HERE):
                dx = tf.identity(tape.gradient(loss, x))
            return _arrays(y, dx)

        return call

    return step_of


def forward(port: int) -> Any:
    """Goes forward only."""
    tf = _connected(port)
    silu = tf.function(tf.nn.silu)

    def call_of(values: Any, _: Any) -> Any:
        x = tf.constant(values)

        def call() -> Any:
            with tf.device(_WORKER):
                y = silu(x)
            with tf.device(_HERE):
                return _arrays(tf.identity(y))

        return call

    return call_of


def by_function(port: int) -> Any:
    """Steps with the gradient of y given before: one call for both passes."""
    tf = _connected(port)

    @tf.function  # type: ignore[untyped-decorator]
    def step(x: Any, dy: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.nn.silu(x)
        return y, tape.gradient(y, x, output_gradients=dy)

    def step_of(values: Any, gradients: Any) -> Any:
        x, dy = tf.constant(values), tf.constant(gradients)

        def call() -> Any:
            with tf.device(_WORKER):
                y, dx = step(x, dy)
            with tf.device(_HERE):
                y, dx = tf.identity(y), tf.identity(dx)
                tf.tensordot(y, dy, 1)
            return _arrays(y, dx)

        return call

    return step_of


def _arrays(*tensors: Any) -> Any:
    """Waits for tensors; returns their memory."""
    import numpy as np

    return tuple(np.asarray(memoryview(tensor)) for tensor in tensors)


def _connected(port: int) -> Any:
    tf = _tensorflow()
    tf.config.experimental_connect_to_host(
        f"127.0.0.1:{port}", job_name="worker"
    )
    return tf


def _tensorflow() -> Any:
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    import tensorflow

    return tensorflow
