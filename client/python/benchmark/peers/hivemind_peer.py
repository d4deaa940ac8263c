"""hivemind: an expert of PyTorch, over libp2p."""

from __future__ import annotations

import pathlib
from typing import Any

from peers.waiting import until_it_works


def serve(sizes: list[int], address_file: str) -> None:
    """Serves an expert for each size in bytes, until it is killed."""
    import threading

    import hivemind
    import torch
    from hivemind.moe import ModuleBackend, Server
    from hivemind.utils.tensor_descr import BatchTensorDescriptor

    dht = hivemind.DHT(
        start=True,
        host_maddrs=["/ip4/127.0.0.1/tcp/0"],
        use_relay=False,
        use_auto_relay=False,
        nat_port_map=False,
    )
    experts = {}
    for size in sizes:
        schema = BatchTensorDescriptor(size // 4)
        experts[f"silu.{size}"] = ModuleBackend(
            f"silu.{size}",
            torch.nn.SiLU(),
            args_schema=(schema,),
            outputs_schema=schema,
            max_batch_size=8,
        )
    server = Server(dht, experts, num_connection_handlers=1, device="cpu")
    server.run_in_background(await_ready=True)
    file = pathlib.Path(address_file)
    partial = file.with_suffix(".part")
    partial.write_text(str(dht.get_visible_maddrs()[0]))
    partial.rename(file)
    threading.Event().wait()


def client(address_file: str, with_gradient: bool) -> Any:
    """Calls the expert of the size, and goes backward by PyTorch."""
    import hivemind
    import torch
    from hivemind.moe import get_experts

    address = until_it_works(pathlib.Path(address_file).read_text)
    dht = hivemind.DHT(
        initial_peers=[address],
        start=True,
        client_mode=True,
        use_relay=False,
        use_auto_relay=False,
        nat_port_map=False,
    )

    def expert_of(size: int) -> Any:
        expert = get_experts(dht, [f"silu.{size}"])[0]
        assert expert is not None
        return expert

    def call_of(x: Any, dy: Any) -> Any:
        expert = until_it_works(lambda: expert_of(x.nbytes))
        values = torch.from_numpy(x)[None].requires_grad_(with_gradient)
        gradient = torch.from_numpy(dy)[None]

        def call() -> Any:
            y = expert(values)
            results = [y]
            if with_gradient:
                results.append(torch.autograd.grad(y, values, gradient)[0])
            return [one.detach().numpy()[0] for one in results]

        return call

    return call_of
