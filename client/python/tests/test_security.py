"""TLS and tokens, against a real server."""

import hashlib
import json
import os
import pickle
import stat
import subprocess
import time

import grpc
import numpy as np
import pytest
from testbed import server_binary

import actserve
from actserve import _replicas
from actserve._security import Security
from actserve.testing import ServerProcess

X = np.array([-1.0, 2.0], np.float32)


def openssl(folder, *arguments):
    subprocess.run(
        ["openssl", *arguments], cwd=folder, check=True, capture_output=True
    )


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """A folder with ca.pem, and NAME.pem and NAME.key of server and alice."""
    folder = tmp_path_factory.mktemp("certificates")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    for name in ("ca", "other"):
        openssl(
            folder, "req", "-x509", *key, "-keyout", f"{name}.key",
            "-out", f"{name}.pem", "-subj", f"/CN={name}", "-days", "1",
        )  # fmt: skip
    (folder / "names").write_text("subjectAltName=DNS:server.test\n")
    for name in ("server", "alice"):
        openssl(
            folder, "req", *key, "-keyout", f"{name}.key",
            "-out", f"{name}.csr", "-subj", f"/CN={name}",
        )  # fmt: skip
        openssl(
            folder, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem",
            "-CAkey", "ca.key", "-CAcreateserial", "-out", f"{name}.pem",
            "-days", "1", "-extfile", "names",
        )  # fmt: skip
    return folder


def write_tokens(path, **tenants):
    """Writes a file with a token for each tenant."""
    entries = [
        {
            "sha256": hashlib.sha256(token.encode()).hexdigest(),
            "tenant": tenant,
            "roles": ["compute", "register"],
        }
        for tenant, token in tenants.items()
    ]
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps({"tokens": entries}))
    draft.chmod(stat.S_IRUSR | stat.S_IWUSR)
    draft.rename(path)


@pytest.fixture
def secured(certificates, tmp_path):
    """A server with mutual TLS and tokens."""
    write_tokens(tmp_path / "tokens.json", a="token-a", b="token-b")
    with ServerProcess(
        server_binary(),
        "--device=cpu",
        f"--tls_cert={certificates / 'server.pem'}",
        f"--tls_key={certificates / 'server.key'}",
        f"--tls_client_ca={certificates / 'ca.pem'}",
        f"--tokens={tmp_path / 'tokens.json'}",
    ) as server:
        yield server


def tls(folder, ca="ca", client="alice"):
    return {
        "tls_ca": str(folder / f"{ca}.pem"),
        "client_cert": str(folder / f"{client}.pem"),
        "client_key": str(folder / f"{client}.key"),
        "tls_server_name": "server.test",
    }


def code_of(client):
    with pytest.raises(actserve.ActivationError) as caught:
        client.forward("relu", X)
    return caught.value.code


def test_computes_over_mutual_tls_with_a_token(connect, secured, certificates):
    client = connect(secured.address, token="token-a", **tls(certificates))
    np.testing.assert_array_equal(client.forward("relu", X), [0, 2])
    copy = pickle.loads(pickle.dumps(client))
    np.testing.assert_array_equal(copy.forward("relu", X), [0, 2])


def test_refuses_who_is_not_known(connect, secured, certificates):
    def connect_as(**security):
        return connect(secured.address, max_attempts=1, **security)

    known = tls(certificates)
    assert code_of(connect_as(**known)) is grpc.StatusCode.UNAUTHENTICATED
    assert (
        code_of(connect_as(token="wrong", **known))
        is grpc.StatusCode.UNAUTHENTICATED
    )
    foreign = connect_as(token="token-a", **tls(certificates, ca="other"))
    assert code_of(foreign) is grpc.StatusCode.UNAVAILABLE
    without = {k: v for k, v in known.items() if "client" not in k}
    assert (
        code_of(connect_as(token="token-a", **without))
        is grpc.StatusCode.UNAVAILABLE
    )
    assert connect(secured.unix_address).forward("relu", X)[1] == 2


def test_takes_its_security_from_the_environment(
    connect, secured, certificates, tmp_path, monkeypatch
):
    (tmp_path / "token").write_text("token-a\n")
    for name, value in tls(certificates).items():
        monkeypatch.setenv(f"ACTSERVE_{name.upper()}", value)
    monkeypatch.setenv("ACTSERVE_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("ACTSERVE_ADDRESS", secured.address)
    assert connect().forward("relu", X)[1] == 2


def test_reads_a_token_again_that_was_replaced(
    connect, secured, certificates, tmp_path
):
    file = tmp_path / "token"
    file.write_text("token-a")
    client = connect(secured.address, token_file=str(file), **tls(certificates))
    client.forward("relu", X)
    write_tokens(tmp_path / "tokens.json", a="token-new")
    deadline = time.monotonic() + 60
    old = connect(secured.address, token="token-a", **tls(certificates))
    while time.monotonic() < deadline:
        try:
            old.forward("relu", X)
        except actserve.ActivationError:
            break
        time.sleep(0.05)
    file.write_text("token-new")
    assert client.forward("relu", X)[1] == 2


def test_no_message_shows_a_token(connect, secured, certificates):
    secret = "secret-" + os.urandom(8).hex()
    client = connect(
        secured.address, token=secret, max_attempts=1, **tls(certificates)
    )
    with pytest.raises(actserve.ActivationError) as caught:
        client.forward("relu", X)
    for text in (repr(client), str(caught.value), repr(caught.value)):
        assert secret not in text
    assert secret not in repr(client._security)
    assert secret not in secured.log()
    with pytest.raises(ValueError, match="in plain text") as refused:
        connect("10.0.0.1:50051", token=secret)
    assert secret not in str(refused.value)


@pytest.mark.parametrize(
    "address",
    ["10.0.0.1:1", "dns:///example.com:1", "ipv4:127.0.0.1:1,10.0.0.1:1"],
)
def test_sends_no_token_in_plain_text_to_another_machine(connect, address):
    with pytest.raises(ValueError, match="in plain text"):
        connect(address, token="t")
    connect(address, token="t", insecure=True)


@pytest.mark.parametrize("address", ["unixbox:1", "unix:/s,10.0.0.1:1"])
def test_encrypts_all_but_unix_sockets(certificates, address):
    security = Security(tls_ca=str(certificates / "ca.pem")).load(address)

    assert security.ca


class Refusing:
    """A method that refuses each token after a second of a clock."""

    def __init__(self, now):
        self.now = now
        self.timeouts = []

    def __call__(self, request, timeout, metadata):
        self.timeouts.append(timeout)
        self.now[0] += 1
        error = grpc.RpcError()
        error.code = lambda: grpc.StatusCode.UNAUTHENTICATED
        raise error


def test_a_refused_token_gets_no_time_of_its_own(tmp_path, monkeypatch):
    file = tmp_path / "token"
    file.write_text("old")
    security = Security(token_file=str(file)).load("127.0.0.1:1")
    replicas = _replicas.Replicas("127.0.0.1:1", 1, security=security)
    file.write_text("new")
    now = [100.0]
    monkeypatch.setattr(_replicas.time, "monotonic", lambda: now[0])
    send = Refusing(now)

    with pytest.raises(grpc.RpcError):
        replicas._send_with_token(send, b"", 105.0, ())

    assert send.timeouts == [5.0, 4.0]


def test_tells_what_is_wrong(connect, tmp_path):
    with pytest.raises(ValueError, match=r"tls_ca: .*No such file"):
        connect("127.0.0.1:1", tls_ca=str(tmp_path / "none"))
    connect("unix:/s", tls_ca=str(tmp_path / "none"))
    with pytest.raises(ValueError, match=r"token_file: .*No such file"):
        connect("unix:/s", token_file=str(tmp_path / "none"))
    with pytest.raises(ValueError, match="one line of ASCII"):
        connect("unix:/s", token="two words")
    with pytest.raises(ValueError, match="only one of them"):
        connect("127.0.0.1:1", client_cert="c")
    with pytest.raises(TypeError, match="tls_ca is not a string"):
        connect("127.0.0.1:1", tls_ca=7)
