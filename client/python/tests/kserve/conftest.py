"""A server with KServe v2, and tritonclient's view of it."""

import pytest
import tritonclient.grpc as triton
from testbed import server_binary

import actserve
from actserve.testing import ServerProcess


@pytest.fixture(scope="session")
def kserve_server():
    """A server for the whole run; tests must not stop it."""
    with ServerProcess(
        server_binary(), "--kserve", "--kserve_shared_memory", "--reflection"
    ) as process:
        yield process


@pytest.fixture
def kserve(kserve_server):
    """The client of NVIDIA."""
    with triton.InferenceServerClient(kserve_server.address) as client:
        yield client


@pytest.fixture
def native(kserve_server):
    """Our own."""
    with actserve.connect(kserve_server.address, pure=True) as client:
        yield client
