"""The program of the question that actserve began with, on its function.

"How do I make an activation function of my own in TensorFlow?" The function
was Python with an `if`, and TensorFlow 1 ran it in a session. As a py_func with
np.vectorize it needs its derivative by hand, and a gradient registered for it.
Here it needs neither.

usage: python tensorflow_question.py [ADDRESS]
"""

import sys

import tensorflow as tf

import actserve
import actserve.tensorflow

CLIENT = sys.argv[1] if len(sys.argv) > 1 else None


@actserve.activation
def spiky(x):
    """As the question has it."""
    r = x % 1
    if r <= 0.5:
        return r
    else:
        return 0


def tf_spiky(x, name=None):
    """Takes the place of the py_func."""
    with tf.compat.v1.name_scope(name, "spiky", [x]):
        return actserve.tensorflow.apply(spiky, x, client=CLIENT)


with tf.Graph().as_default(), tf.compat.v1.Session() as sess:
    x = tf.constant([0.2, 0.7, 1.2, 1.7])
    y = tf_spiky(x)
    sess.run(tf.compat.v1.global_variables_initializer())

    print(x.eval(), y.eval(), tf.gradients(y, [x])[0].eval())

# The same function on the eager tensors of today.
x = tf.constant([0.2, 0.7, 1.2, 1.7])
with tf.GradientTape() as tape:
    tape.watch(x)
    y = tf_spiky(x)
print(y.numpy(), tape.gradient(y, x).numpy())
