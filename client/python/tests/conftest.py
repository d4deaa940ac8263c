"""A fake server in this process, and the real one in its own."""

import functools
import os
from concurrent import futures
from pathlib import Path

import grpc
import pytest
from proxy import Slow
from testbed import (
    FRAMEWORKS,
    FakeService,
    built_library,
    is_installed,
    server_binary,
)

import actserve
from actserve import _library
from actserve.testing import ServerProcess
from actserve.v1 import service_pb2_grpc

# The library of the build, for all tests.
os.environ.setdefault("ACTSERVE_LIBRARY", str(built_library()))

# Each has a folder of tests. Those that must be here are an error if they are
# not.
_missing = [name for name in FRAMEWORKS if not is_installed(name)]
_required = os.environ.get("ACTSERVE_REQUIRED_FRAMEWORKS", "").split()
collect_ignore = [*_missing, "training"] if _missing else []


def pytest_terminal_summary(terminalreporter):
    """Says what was not tested."""
    if _missing:
        names = ", ".join(_missing)
        terminalreporter.write_line(f"not tested, as not installed: {names}")


def pytest_collection_modifyitems(session):
    """Ends a run that would leave out a framework that must be here."""
    paths = [Path(arg.split("::")[0]).name for arg in session.config.args]
    lacking = [name for name in _required if name in _missing and name in paths]
    if lacking:
        pytest.exit(f"required and not installed: {', '.join(lacking)}", 1)


# What was left out as something else is not installed.
_left_out = []


def _note(report):
    if report.skipped and "could not import" in str(report.longrepr):
        _left_out.append(report.nodeid)


pytest_collectreport = pytest_runtest_logreport = _note


def pytest_sessionfinish(session):
    """Fails a run that had to test all, and did not."""
    if _required and _left_out:
        print(f"\nrequired and left out: {', '.join(_left_out)}")
        session.exitstatus = 1


@pytest.fixture
def service():
    """A FakeService that listens at `service.address`."""
    server = grpc.server(futures.ThreadPoolExecutor(4))
    result = FakeService()
    service_pb2_grpc.add_ActivationServiceServicer_to_server(result, server)
    result.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield result
    server.stop(None).wait()


@pytest.fixture(params=["pure", "library"])
def connect(request):
    """Connects by grpcio, and by the library."""
    pure = request.param == "pure"
    if not pure and _library.path() is None:
        pytest.fail(f"{built_library()} is missing: run scripts/build")
    return functools.partial(actserve.connect, pure=pure)


@pytest.fixture
def fake(connect, service):
    """A client of the fake server."""
    with connect(service.address, timeout=10) as client:
        yield client


@pytest.fixture
def pausing(service):
    """One by grpcio that notes its pauses and makes none."""
    with actserve.connect(service.address, timeout=10, pure=True) as client:
        client.pauses = []
        client._way._replicas._sleep = client.pauses.append
        yield client


@pytest.fixture(scope="session")
def shared_server():
    """A server for the whole run; tests must not stop it."""
    with ServerProcess(server_binary()) as process:
        yield process


@pytest.fixture
def server():
    """A server of this test's own."""
    with ServerProcess(server_binary()) as process:
        yield process


@pytest.fixture
def slow_server(shared_server):
    """The shared server at the end of a long line."""
    proxy = Slow(shared_server.address, seconds=0.15)
    yield proxy
    proxy.close()


@pytest.fixture
def client(connect, shared_server):
    """A client of the shared server."""
    with connect(shared_server.address) as result:
        yield result


@pytest.fixture(scope="module")
def fake_driver():
    """The path of the fake driver, which the library here uses."""
    import fake_gpu

    with pytest.MonkeyPatch.context() as patch:
        yield fake_gpu.use_driver(patch)


@pytest.fixture(scope="module")
def gpu_server(fake_driver):
    """A server over the fake driver, for the tests of a file."""
    import fake_gpu

    with fake_gpu.start_server() as process:
        yield process
