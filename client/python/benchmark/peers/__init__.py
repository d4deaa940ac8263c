"""silu by each of those that are compared: forward, and a training step.

The arrays are the caller's: x goes in, and y comes out; or x and dy, and y and
dx. Where both passes are calls of their own, a loss, y times dy, is computed
between them.

A module has serve(), which serves until its process is killed, and client(),
which returns a function that makes a call of two arrays, x and dy. Both run in
processes of their own, in the environment of the peer.
"""
