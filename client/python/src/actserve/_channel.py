"""One connection to one server."""

from __future__ import annotations

from typing import Any

import grpc

from actserve import _address
from actserve._security import PLAIN, ChannelSecurity

Metadata = tuple[tuple[str, str], ...]


class Channel:
    """Sends serialized requests and returns serialized responses.

    Connects at the first call. Its user makes sure that `method` and `close` do
    not run at the same time.
    """

    def __init__(
        self,
        target: str,
        authority: str | None = None,
        security: ChannelSecurity = PLAIN,
    ):
        """Makes no connection.

        Args:
          target: An address as gRPC takes it.
          authority: The name by which the server is called, where `target` was
            made from one.
          security: TLS, or not.
        """
        self._target = target
        self._authority = authority
        self._security = security
        self._channel: grpc.Channel | None = None
        self._methods: dict[str, Any] = {}

    def method(self, path: str) -> Any:
        """Returns what calls "/package.Service/Name": bytes in, bytes out."""
        if self._channel is None:
            self._channel = self._security.open(
                self._target,
                _options(self._target, self._authority),
                self._authority,
            )
        method = self._methods.get(path)
        if method is None:
            # No serializer: bytes in, bytes out.
            method = self._channel.unary_unary(path)
            self._methods[path] = method
        return method

    def close(self) -> None:
        """Ends calls in progress with CANCELLED."""
        channel, self._channel = self._channel, None
        self._methods.clear()
        if channel is not None:
            channel.close()


def _options(
    target: str, authority: str | None = None
) -> list[tuple[str, int | str]]:
    options: list[tuple[str, int | str]] = [
        # The limit is the server's, and its error says it.
        ("grpc.max_send_message_length", -1),
        ("grpc.max_receive_message_length", -1),
        # A restarted server is found again within the pauses of a call; gRPC's
        # own first pause is 1 s, its longest 120 s.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 2000),
    ]
    if authority is not None:
        options.append(("grpc.default_authority", authority))
    if _address.is_loopback(target):
        options.append(("grpc.enable_http_proxy", 0))
    return options
