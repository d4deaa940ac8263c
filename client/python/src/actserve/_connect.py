"""`actserve.connect`: a client of servers, by their address."""

from __future__ import annotations

from actserve import _retry
from actserve._client import Client
from actserve._security import Security


def connect(
    address: str | None = None,
    *,
    timeout: float = 60.0,
    max_attempts: int = _retry.MAX_ATTEMPTS,
    tls_ca: str | None = None,
    client_cert: str | None = None,
    client_key: str | None = None,
    tls_server_name: str | None = None,
    token: str | None = None,
    token_file: str | None = None,
    insecure: bool = False,
    device: str = "cpu",
    num_threads: int = 0,
    pure: bool = False,
) -> Client:
    """Returns a client of the servers at `address`. Does not wait for them.

    Args:
      address: "local", which computes in this process and needs no server; or
        "host:port" or "unix:PATH", or several, separated by commas,
        which share the calls; "dns:///host:port" stands for every address
        behind the name. None: $ACTSERVE_ADDRESS; else the server's default
        socket ($XDG_RUNTIME_DIR/actserve/actserve.sock, or
        /tmp/actserve-UID/actserve.sock) if a server listens there and its
        directory is this user's alone; else "local" if the library that
        computes is here.
      timeout: Seconds for one call, including its retries and a registration
        that it needs; math.inf waits for ever. Each call may give its own.
      max_attempts: How often a call is sent to each server at most, the first
        time included, and how often an activation is registered again for it.
        client/README.md says what is sent again and after which pauses; the
        default outlives a restart of the server.
      tls_ca: PEM file with the authorities that sign the server's certificate.
        It turns on TLS, but not for a unix socket. None: $ACTSERVE_TLS_CA.
      client_cert: PEM file with a certificate of this client, for servers that
        want one. None: $ACTSERVE_CLIENT_CERT.
      client_key: PEM file with its key. None: $ACTSERVE_CLIENT_KEY.
      tls_server_name: The name in the server's certificate, where that is not
        the host of the address. None: $ACTSERVE_TLS_SERVER_NAME.
      token: The token for this server.
      token_file: A file with it, which is read again when the server does not
        know the token any more. None: $ACTSERVE_TOKEN_FILE.
      insecure: Send a token without TLS to another machine.
      device: Of "local": "cpu"; or a GPU of this machine, "cuda:N"; or "auto",
        which is the first GPU if there is one.
      num_threads: Of "local", on the CPU: threads that share a large tensor;
        0: all.
      pure: Reach servers by grpcio, slower and the same, even where the library
        that computes "local" is here. $ACTSERVE_LIBRARY "none" does so too.

    Raises:
      TypeError: `timeout` is not a number.
      ValueError: `address` has another form, `timeout` is not positive, a file
        cannot be read, or a token would go over the network in plain text.
      FileNotFoundError: "local", and the library that computes is not here.
      ConnectionError: There is no address, no server and no library.
    """
    return Client(
        address,
        timeout=timeout,
        max_attempts=max_attempts,
        security=Security(
            tls_ca=tls_ca,
            client_cert=client_cert,
            client_key=client_key,
            tls_server_name=tls_server_name,
            token=token,
            token_file=token_file,
            insecure=insecure,
        ),
        device=device,
        num_threads=num_threads,
        pure=pure,
    )
