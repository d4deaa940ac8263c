"""The client with several servers that only pretend."""

import contextlib
import math
import pickle
import threading
import time
from concurrent import futures

import grpc
import numpy as np
import pytest
from testbed import FakeService

import actserve
from actserve import _replicas
from actserve.v1 import service_pb2, service_pb2_grpc

DOUBLE = actserve.activation("def double(x): return 2 * x")
X = np.array([1.0, -2.0], np.float32)
UNAVAILABLE = (grpc.StatusCode.UNAVAILABLE, None)
UNKNOWN = (grpc.StatusCode.NOT_FOUND, "ACTIVATION_UNKNOWN")
GONE = (grpc.StatusCode.NOT_FOUND, "RESIDUAL_GONE")
FULL = (grpc.StatusCode.RESOURCE_EXHAUSTED, None)


class OwnService(FakeService):
    """Knows only residuals, page tokens and activations of its own.

    Attributes:
      number: Its index.
      known: Ids that were registered.
      sessions: The session of each call.
      authorities: The name by which each call called it.
    """

    def __init__(self, number):
        super().__init__()
        self.number = number
        self.residual = b"residual of %d" % number
        self.known = set()
        self.sessions = []
        self.released = []

    def _begin(self, request, context):
        metadata = dict(context.invocation_metadata())
        self.sessions.append(metadata["x-actserve-session"])
        name = getattr(request, "activation", "")
        if name.startswith("sha256:") and name not in self.known:
            self.failures.insert(0, UNKNOWN)
        elif getattr(request, "residual", b"") not in (b"", self.residual):
            self.failures.insert(0, GONE)
        token = getattr(request, "page_token", "")
        if token not in ("", f"token of {self.number}"):
            self.failures.insert(0, (grpc.StatusCode.INVALID_ARGUMENT, None))
        super()._begin(request, context)

    def RegisterActivation(self, request, context):  # noqa: N802
        response = super().RegisterActivation(request, context)
        response.activation.id = "sha256:0"
        self.known.add("sha256:0")
        return response

    def ListActivations(self, request, context):  # noqa: N802
        response = super().ListActivations(request, context)
        if response.next_page_token:
            response.next_page_token = f"token of {self.number}"
        return response

    def ReleaseResiduals(self, request, context):  # noqa: N802
        self.released += request.handles
        return super().ReleaseResiduals(request, context)


@pytest.fixture
def services():
    """Three servers, each with its `address`."""
    with contextlib.ExitStack() as stack:
        result = []
        for number in range(3):
            server = grpc.server(futures.ThreadPoolExecutor(4))
            service = OwnService(number)
            service_pb2_grpc.add_ActivationServiceServicer_to_server(
                service, server
            )
            port = server.add_insecure_port("127.0.0.1:0")
            service.address = f"127.0.0.1:{port}"
            server.start()
            stack.callback(lambda server=server: server.stop(None).wait())
            result.append(service)
        yield result


@pytest.fixture
def address(services):
    """The address of all three."""
    return ",".join(service.address for service in services)


@pytest.fixture
def client(connect, address):
    """A client of all three."""
    with connect(address, timeout=20) as result:
        yield result


@pytest.fixture
def pausing(address):
    """One by grpcio that notes its pauses and makes none."""
    with actserve.connect(address, timeout=20, pure=True) as result:
        result.pauses = []
        result._way._replicas._sleep = result.pauses.append
        yield result


def num_calls(services):
    """Returns how many calls each has got."""
    return [len(service.calls) for service in services]


def names(services):
    """Returns the methods that all were called with."""
    return sorted(name for service in services for name in service.names())


def test_replicas_take_turns(client, services):
    for _ in range(9):
        client.forward("f", X)

    assert num_calls(services) == [3, 3, 3]


def test_a_busy_one_is_passed_over(client, services):
    entered, leave = threading.Event(), threading.Event()
    for service in services:

        def begin(request, context, then=service._begin):
            then(request, context)
            if not entered.is_set():
                entered.set()
                leave.wait(60)

        service._begin = begin
    with futures.ThreadPoolExecutor(1) as pool:
        busy = pool.submit(client.forward, "f", X)
        assert entered.wait(60)
        for _ in range(6):
            client.forward("f", X)
        leave.set()
        busy.result()

    assert sorted(num_calls(services)) == [1, 3, 3]


def test_a_call_goes_on_to_others_at_once(pausing, services):
    for service in services[:2]:
        service.failures = [UNAVAILABLE] * 20

    for _ in range(3):
        pausing.forward("f", X)

    assert pausing.pauses == []


def test_the_one_that_failed_is_set_aside(pausing, services):
    services[1].failures = [UNAVAILABLE] * 1000
    start = time.monotonic()

    for _ in range(100):
        pausing.forward("f", X)

    # At 0, 0.1, 0.3, 0.7, 1.5, 3.1 ... s.
    seconds = time.monotonic() - start
    assert 1 <= len(services[1].calls) <= 2 + math.log2(1 + 10 * seconds)
    assert pausing.pauses == []


def test_attempts_count_rounds(pausing, services):
    for service in services:
        service.failures = [UNAVAILABLE] * 20

    with pytest.raises(actserve.ActivationError) as caught:
        pausing.forward("f", X)

    assert caught.value.code is grpc.StatusCode.UNAVAILABLE
    assert num_calls(services) == [7, 7, 7]
    assert len(pausing.pauses) == 6
    assert 5.1 * 0.75 <= sum(pausing.pauses) <= 5.1 * 1.25


def test_the_soonest_of_their_pauses_counts(pausing, services):
    for service, pushback in zip(
        services, ["9000", "1500", "8000"], strict=True
    ):
        service.failures = [FULL]
        service.pushback = pushback

    pausing.forward("f", X)

    assert pausing.pauses == [1.5]
    assert sum(num_calls(services)) == 4


def test_an_error_that_is_an_answer_goes_nowhere_else(client, services):
    for service in services:
        service.failures = [(grpc.StatusCode.INVALID_ARGUMENT, None)]

    with pytest.raises(actserve.ActivationError):
        client.forward("f", X)

    assert sum(num_calls(services)) == 1


def test_backward_goes_where_the_residual_is(client, services):
    residuals = [
        client.forward_with("f", X, keep_residual=True)[2] for _ in range(30)
    ]

    for residual in residuals:
        client.backward("f", residual=residual, grad_output=X)

    assert num_calls(services) == [20, 20, 20]
    for service in services:
        assert not service.calls[-1].inputs


def test_backward_goes_elsewhere_where_that_one_does_not_answer(
    client, services
):
    _, _, residual = client.forward_with("f", X, keep_residual=True)
    (holder,) = [service for service in services if service.calls]
    holder.failures = [UNAVAILABLE] * 20

    gradients = client.backward("f", residual=residual, grad_output=X)

    np.testing.assert_array_equal(gradients["x"], X)
    assert holder.names() == ["Forward", "Backward"]
    # The one that answered RESIDUAL_GONE is sent the inputs.
    assert sorted(num_calls(services)) == [0, 2, 2]


def test_a_replica_is_taught_what_it_does_not_know(client, services):
    for _ in range(6):
        client.forward(DOUBLE, X)

    # Each but the first to learn it refused one call.
    assert names(services) == ["Forward"] * 8 + ["RegisterActivation"] * 3
    for service in services:
        assert service.names().count("RegisterActivation") == 1


def test_a_list_comes_from_one_server(client, services):
    for _ in range(4):
        infos = client.list_activations()
        assert [info.name for info in infos] == ["gelu", "relu"]

    assert sum(num_calls(services)) == 8


def test_a_list_that_is_cut_begins_anew_elsewhere(client, services):
    for service in services:
        service.failures = [None, UNAVAILABLE]

    infos = client.list_activations()

    assert [info.name for info in infos] == ["gelu", "relu"]


def test_a_list_that_no_server_continues_is_an_error(client, services):
    refused = (grpc.StatusCode.INVALID_ARGUMENT, None)
    for service in services:
        service.failures = [None, refused] * 20

    with pytest.raises(actserve.ActivationError) as caught:
        client.list_activations()

    assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT


def test_residuals_are_released_where_they_are(client, services):
    residuals = [
        client.forward_with("f", X, keep_residual=True)[2] for _ in range(9)
    ]

    assert client.release_residuals(*residuals) == 9

    for service in services:
        assert service.released == [service.residual] * 3


def test_every_call_names_the_session(connect, address, services):
    with connect(address) as one, connect(address) as other:
        for _ in range(3):
            one.forward("f", X)
            other.forward("f", X)

    sessions = [s for service in services for s in service.sessions]
    assert len(sessions) == 6
    assert len(set(sessions)) == 2
    assert {len(bytes.fromhex(s)) for s in sessions} == {16}


def test_a_copy_has_a_session_of_its_own(client, services):
    client.forward("f", X)
    with pickle.loads(pickle.dumps(client)) as copy:
        copy.forward("f", X)

    sessions = [s for service in services for s in service.sessions]
    assert len(set(sessions)) == 2


def test_a_fork_is_refused_with_several_too(pausing, monkeypatch):
    pausing.forward("f", X)
    monkeypatch.setattr("os.getpid", lambda: -1)

    with pytest.raises(actserve.ActivationError, match="connect again"):
        pausing.forward("f", X)
    monkeypatch.undo()


def test_close_ends_calls_at_all_of_them(connect, address, services):
    entered, leave = threading.Semaphore(0), threading.Event()
    for service in services:

        def wait(request, context):
            entered.release()
            leave.wait(60)
            context.abort(grpc.StatusCode.INTERNAL, "late")

        service._begin = wait
    client = connect(address)
    with futures.ThreadPoolExecutor(3) as pool:
        calls = [pool.submit(client.forward, "f", X) for _ in range(3)]
        for _ in calls:
            assert entered.acquire(timeout=60)
        client.close()
        for call in calls:
            with pytest.raises(actserve.ActivationError) as caught:
                call.result(60)
            assert caught.value.code is grpc.StatusCode.CANCELLED
        leave.set()
    with pytest.raises(actserve.ActivationError, match="client is closed"):
        client.forward("f", X)


@contextlib.contextmanager
def by_name(look_up):
    """Yields replicas behind a name, by the lookup of a test."""
    replicas = _replicas.Replicas(
        "dns:///replicas.localhost:50051", 7, look_up=look_up
    )
    try:
        yield replicas
    finally:
        replicas.close()


def ask(replicas, timeout=30):
    """Calls a method; returns the replica that answered."""
    place = _replicas.Place()
    replicas.call(
        "/actserve.v1.ActivationService/GetActivation",
        service_pb2.GetActivationRequest(activation="f").SerializeToString(),
        time.monotonic() + timeout,
        place,
    )
    return place.replica


def test_a_name_stands_for_all_of_its_addresses(services):
    asked = []

    def look_up(name):
        asked.append(name)
        return [f"ipv4:{service.address}" for service in services]

    with by_name(look_up) as replicas:
        for _ in range(6):
            ask(replicas)

    assert num_calls(services) == [2, 2, 2]
    assert asked == [("replicas.localhost", "50051")]


def test_a_name_that_moved_is_found(services):
    targets = ["ipv4:127.0.0.1:1"]
    with by_name(lambda _: targets) as replicas:
        replicas._max_attempts = 1
        with pytest.raises(actserve.ActivationError):
            ask(replicas)
        replicas._max_attempts = 7
        targets = [f"ipv4:{services[1].address}"]

        assert ask(replicas).address == targets[0]


def test_a_name_that_is_not_found_is_asked_for_again(services):
    answers = [OSError("no such name"), [f"ipv4:{services[1].address}"]]

    def look_up(_):
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    with by_name(look_up) as replicas:
        ask(replicas)

    assert answers == []
    assert num_calls(services) == [0, 1, 0]


def test_a_wait_for_names_ends():
    leave = threading.Event()
    with (
        by_name(lambda _: [leave.wait()]) as replicas,
        pytest.raises(actserve.ActivationError) as caught,
    ):
        ask(replicas, timeout=0.05)
    leave.set()

    assert caught.value.code is grpc.StatusCode.UNAVAILABLE
    assert "no address is known yet" in str(caught.value)


def test_a_name_is_left_to_grpc_where_a_proxy_is_asked(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")

    assert _replicas._own_name("dns:///host.example:1") is None
    assert _replicas._own_name("dns:///localhost:1") == ("localhost", "1")


def test_a_replica_of_a_name_is_called_by_the_name(services):
    with by_name(lambda _: ["ipv4:" + services[0].address]) as replicas:
        replica = ask(replicas)

    assert replica.channel._authority == "replicas.localhost:50051"
