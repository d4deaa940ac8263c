"""pytensor-federated: arrays each way on a stream of gRPC by grpclib."""

from __future__ import annotations

from typing import Any

from peers import silu
from peers.waiting import until_it_works


def serve(port: int) -> None:
    """Serves clients until it is killed."""
    import asyncio

    from grpclib.server import Server
    from pytensor_federated import ArraysToArraysService

    def compute(*arrays: Any) -> Any:
        if len(arrays) == 1:
            return [silu.forward(*arrays)]
        return silu.step(*arrays)

    async def run() -> None:
        server = Server([ArraysToArraysService(compute)])
        await server.start("127.0.0.1", port)
        await server.wait_closed()

    asyncio.run(run())


def client(port: int, with_gradient: bool) -> Any:
    """Sends over one stream for each caller."""
    import asyncio

    from pytensor_federated import ArraysToArraysServiceClient

    # It knows them by their address and thread, and waits for ever if a new one
    # has those of one that is gone.
    connections = []

    def call_of(x: Any, dy: Any) -> Any:
        connection = ArraysToArraysServiceClient("127.0.0.1", port)
        connections.append(connection)
        sent = (x, dy) if with_gradient else (x,)

        def call() -> Any:
            try:
                asyncio.get_event_loop()
            except RuntimeError:  # It takes that of the thread, and makes none.
                asyncio.set_event_loop(asyncio.new_event_loop())
            return connection.evaluate(*sent)

        until_it_works(call)
        return call

    return call_of
