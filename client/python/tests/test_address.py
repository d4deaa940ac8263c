"""Where a client looks for its server."""

import json
import os
import re
import socket
from pathlib import Path

import pytest

from actserve import _address


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    """No address set, and a runtime directory of this test's own."""
    monkeypatch.delenv("ACTSERVE_ADDRESS", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


@pytest.fixture
def default_socket(tmp_path):
    """A socket where a server would listen by default."""
    path = tmp_path / "actserve" / "actserve.sock"
    path.parent.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        yield path


ROOT = Path(__file__).resolve().parents[3]
# The C++ client's test runs the same table.
TABLE = json.loads((ROOT / "client/testdata/addresses.json").read_text())


@pytest.mark.parametrize("row", TABLE["accepted"], ids=lambda r: r["address"])
def test_takes_an_address_as_it_is(row):
    assert _address.resolve(row["address"]) == row["address"]
    assert _address.is_loopback(row["address"]) == row["is_loopback"]
    assert _address.is_unix_socket(row["address"]) == row.get("is_unix", False)


@pytest.mark.parametrize("row", TABLE["refused"], ids=lambda r: r["address"])
def test_refuses_an_address_with_what_to_write(row):
    with pytest.raises(ValueError, match=re.escape(row["message"]) + "$"):
        _address.resolve(row["address"])


@pytest.mark.parametrize("row", TABLE["lists"], ids=lambda r: r["address"])
def test_splits_an_address_of_several_servers(row):
    assert _address.resolve(row["address"]) == row["address"]
    assert _address.split(row["address"]) == row["parts"]


@pytest.mark.parametrize("row", TABLE["names"], ids=lambda r: r["address"])
def test_tells_the_names_that_the_client_looks_up(row):
    want = row["host"] and (row["host"], row["port"])

    assert _address.name_to_look_up(row["address"]) == want


def test_variable_comes_first(monkeypatch, default_socket):
    monkeypatch.setenv("ACTSERVE_ADDRESS", "host:1")

    assert _address.resolve(None) == "host:1"


def test_default_socket_comes_second(default_socket):
    assert _address.resolve(None) == f"unix:{default_socket}"


def test_this_process_comes_third():
    assert _address.resolve(None, can_compute=True) == "local"


def test_without_any_the_error_names_the_three_ways():
    with pytest.raises(
        ConnectionError,
        match=r"(?s)actserve\.sock.*actserved.*ACTSERVE_ADDRESS.*library",
    ):
        _address.resolve(None)


def test_ignores_a_socket_that_nobody_listens_on(tmp_path):
    path = tmp_path / "actserve" / "actserve.sock"
    path.parent.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))

    assert _address.resolve(None, can_compute=True) == "local"


def test_ignores_a_socket_in_a_directory_that_others_can_write(default_socket):
    default_socket.parent.chmod(0o777)

    assert _address.resolve(None, can_compute=True) == "local"


def test_ignores_a_plain_file(tmp_path):
    (tmp_path / "actserve").mkdir(mode=0o700)
    (tmp_path / "actserve" / "actserve.sock").touch()

    assert _address.resolve(None, can_compute=True) == "local"


def test_without_runtime_directory_uses_tmp(monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", "relative")

    assert (
        _address.default_socket()
        == f"/tmp/actserve-{os.getuid()}/actserve.sock"
    )
