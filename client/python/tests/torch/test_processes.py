"""Forks, spawned processes and distributed training."""

import multiprocessing
import multiprocessing.pool
import os
import pickle
import subprocess
import sys

import pytest
from torch_cases import SWISH, apply, assert_close, layer, swish, torch

import actserve
import actserve.torch

pytestmark = pytest.mark.server


class Samples(torch.utils.data.Dataset):
    """Computes its samples in the worker."""

    def __init__(self, act):
        self.act = act

    def __len__(self):
        return 4

    def __getitem__(self, i):
        return self.act(torch.full((3,), float(i))).detach()


@pytest.mark.parametrize("where", ["local", "unix", "tcp", "client"])
def test_workers_of_a_dataloader_compute(where, shared_server):
    address = {
        "unix": shared_server.unix_address,
        "tcp": shared_server.address,
    }.get(where, "local")
    client = actserve.connect(address) if where == "client" else address
    act = layer(SWISH, learnable={"beta": 1.5}, client=client)
    wanted = torch.stack([act(torch.full((3,), float(i))) for i in range(4)])

    found = list(
        torch.utils.data.DataLoader(
            Samples(act), num_workers=2, multiprocessing_context="fork"
        )
    )

    assert_close(torch.cat(found), wanted.detach())


def in_child(pickled, queue):
    act = pickle.loads(pickled)
    queue.put(act(torch.ones(3)).tolist())


def test_a_layer_goes_to_a_spawned_process():
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    act = layer(SWISH, learnable={"beta": 1.5})
    child = context.Process(target=in_child, args=(pickle.dumps(act), queue))
    child.start()
    found = queue.get(timeout=60)
    child.join()
    assert found == act(torch.ones(3)).tolist()


TRAINER = """
import os, sys
import torch, torch.distributed as dist
import actserve.torch

dist.init_process_group("gloo", timeout=__import__("datetime").timedelta(0, 60))
rank = dist.get_rank()
torch.manual_seed(0)
model = torch.nn.Sequential(
    torch.nn.Linear(4, 3),
    actserve.torch.Activation(
        sys.argv[1], learnable={"beta": 1.0}, channels=3, client=sys.argv[2]
    ),
    torch.nn.Linear(3, 1),
)
ddp = torch.nn.parallel.DistributedDataParallel(model)
optimizer = torch.optim.SGD(ddp.parameters(), 0.1)
x = torch.arange(32.0).reshape(8, 4).sin()
for _ in range(5):
    optimizer.zero_grad()
    ddp(x[rank::2]).square().mean().backward()
    optimizer.step()
if rank == 0:
    torch.save([p.detach() for p in model.parameters()], sys.argv[3])
dist.destroy_process_group()
"""


def test_two_ranks_train_as_one_process(shared_server, tmp_path):
    results = tmp_path / "parameters"
    store = tmp_path / "store"
    ranks = [
        subprocess.Popen(
            [
                sys.executable,
                "-c",
                TRAINER.replace(
                    '"gloo"',
                    f'"gloo", init_method="file://{store}", world_size=2, '
                    f"rank={rank}",
                ),
                SWISH,
                shared_server.unix_address,
                str(results),
            ],
            env=os.environ
            | {"GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"},
        )
        for rank in range(2)
    ]
    assert [rank.wait(timeout=120) for rank in ranks] == [0, 0]

    torch.manual_seed(0)
    first, last = torch.nn.Linear(4, 3), torch.nn.Linear(3, 1)
    beta = torch.nn.Parameter(torch.ones(3))
    parameters = [*first.parameters(), beta, *last.parameters()]
    optimizer = torch.optim.SGD(parameters, 0.1)
    x = torch.arange(32.0).reshape(8, 4).sin()
    for _ in range(5):
        optimizer.zero_grad()
        last(swish(first(x), beta)).square().mean().backward()
        optimizer.step()
    assert_close(
        torch.load(results),
        [p.detach() for p in parameters],
        rtol=1e-5,
        atol=1e-6,
    )


def test_threads_compute_at_once():
    x = torch.randn(1000)
    wanted = torch.nn.functional.silu(x)

    def work(_):
        leaf = x.clone().requires_grad_()
        y = apply("silu", leaf)
        y.sum().backward()
        return y.detach(), leaf.grad

    with multiprocessing.pool.ThreadPool(4) as pool:
        found = pool.map(work, range(32))
    for y, dx in found:
        assert_close(y, wanted)
        assert torch.equal(dx, found[0][1])
