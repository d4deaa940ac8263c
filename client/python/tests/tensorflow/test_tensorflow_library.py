"""TensorFlow and the library live in one process, whoever comes first.

TensorFlow's protobuf is in the global scope: the library, when it was loaded
after it, once took some of its functions for those of its own and crashed.
"""

import subprocess
import sys

import pytest
from tensorflow_cases import tf  # noqa: F401

IMPORTS = [
    "import tensorflow as tf",
    "import actserve; actserve.connect('local').forward('relu', [1.0])",
]
USE = """
import actserve.tensorflow, sys
x = tf.constant([-1.0, 2.0])
for client in ("local", sys.argv[1]):
    y = actserve.tensorflow.apply("relu", x, client=client, timeout=30)
    print(y.numpy())
"""


@pytest.mark.server
@pytest.mark.parametrize("order", [1, -1], ids=["TensorFlow first", "last"])
def test_both_orders(order, shared_server):
    program = "\n".join([*IMPORTS[::order], USE])
    done = subprocess.run(
        [sys.executable, "-c", program, shared_server.address],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:2] == ["[0. 2.]", "[0. 2.]"]
