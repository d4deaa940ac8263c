"""The training in PyTorch."""

import torch
from task import RATE, Result, Task, accuracy, digits, weights

import actserve.torch

NATIVE = {
    "spiky": lambda x: torch.where(x % 1 <= 0.5, x % 1, 0),
    "gelu": torch.nn.functional.gelu,
    "swish": lambda x, beta: x * torch.sigmoid(beta * x),
}


def train(task: Task) -> Result:
    """Trains by autograd, eagerly."""
    values = {
        name: torch.nn.Parameter(torch.from_numpy(value))
        for name, value in weights(task.has_beta).items()
    }

    def hidden(x):
        if task.client == "native":
            beta = [values["beta"]] if task.has_beta else []
            return NATIVE[task.name](x, *beta)
        parameters = {"beta": values["beta"]} if task.has_beta else None
        return actserve.torch.apply(
            task.activation,
            x,
            parameters=parameters,
            client=task.client,
            **task.options,
        )

    def logits(x):
        return (
            hidden(x @ values["w1"] + values["b1"]) @ values["w2"]
            + values["b2"]
        )

    optimizer = torch.optim.SGD(values.values(), lr=RATE)
    losses = []
    for x, y in task.batches():
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(
            logits(torch.from_numpy(x)), torch.from_numpy(y)
        )
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    with torch.no_grad():
        test = logits(torch.from_numpy(digits()[2]))
    return Result(losses, accuracy(test.numpy()))
