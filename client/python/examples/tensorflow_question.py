"""An activation of one's own in TensorFlow, with graphs and sessions.

Prints x, spiky(x) and its gradient:

    [0.2 0.7 1.2 1.7] [0.2        0.         0.20000005 0.        ] [1. 0. 1. 0.]

Before, that took a vectorized function, another for its derivative, a py_func,
a registered gradient and a gradient_override_map.
"""

import tensorflow.compat.v1 as tf

import actserve
import actserve.tensorflow

tf.disable_eager_execution()


@actserve.activation
def spiky(x):
    """Returns what is left of x above a whole number, up to a half."""
    r = x % 1
    if r <= 0.5:
        return r
    else:
        return 0


def tf_spiky(x):
    """Returns spiky of each element of a tensor."""
    return actserve.tensorflow.apply(spiky, x)


with tf.Session() as sess:
    x = tf.constant([0.2, 0.7, 1.2, 1.7])
    y = tf_spiky(x)
    tf.global_variables_initializer().run()

    print(x.eval(), y.eval(), tf.gradients(y, [x])[0].eval())
