"""Activations in PyTorch (2.4 or newer): a layer and a function.

>>> import torch
>>> import actserve, actserve.torch
>>> spiky = actserve.activation('''
... def spiky(x):
...     r = x % 1
...     return r if r <= 0.5 else 0
... ''')
>>> model = torch.nn.Sequential(
...     torch.nn.Linear(64, 128),
...     actserve.torch.Activation(spiky),
...     torch.nn.Linear(128, 10),
... )
>>> x = torch.tensor([0.25, 0.75, 1.25], requires_grad=True)
>>> y = actserve.torch.apply(spiky, x)
>>> y.sum().backward()
>>> print(y.tolist(), x.grad.tolist())
[0.25, 0.0, 0.25] [1.0, 0.0, 1.0]

Gradients can be differentiated once more. Under torch.compile, torch.export,
fake tensors and tensor subclasses a call is an operator, torch.ops.actserve.*;
under torch.func, and in plain eager mode, it is an autograd function. The
numbers are the same.

Tensors of the host are read and written where they lie. So are those of a GPU
by a server on this host that computes on it; else they are copied through
pinned memory: see cuda_ways(). Results have the dtype of the inputs; autocast
leaves a single input as it is, and gives several the widest of their dtypes. A
dense tensor, a channels-last one among them, keeps its strides.
"""

from actserve.torch import _ops  # noqa: F401, registers the operators
from actserve.torch._function import apply
from actserve.torch._layer import Activation
from actserve.torch._many import apply_many
from actserve.torch._shared import cuda_ways

__all__ = ["Activation", "apply", "apply_many", "cuda_ways"]
