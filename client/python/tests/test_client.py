"""What the client does around a call, against a server that only pretends."""

import math
import multiprocessing
import pickle
import threading
import time
from concurrent import futures

import grpc
import numpy as np
import pytest

import actserve
from actserve.v1 import activation_pb2

DOUBLE = actserve.activation("def double(x): return 2 * x")
X = np.array([1.0, -2.0], np.float32)

UNAVAILABLE = (grpc.StatusCode.UNAVAILABLE, None)
UNKNOWN = (grpc.StatusCode.NOT_FOUND, "ACTIVATION_UNKNOWN")
GONE = (grpc.StatusCode.NOT_FOUND, "RESIDUAL_GONE")
FULL = (grpc.StatusCode.RESOURCE_EXHAUSTED, None)
NOBODY_ANSWERED = [
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
]


def test_registers_once_at_first_use(fake, service):
    fake.forward(DOUBLE, X)
    y = fake.forward(DOUBLE, X)

    np.testing.assert_array_equal(y, 2 * X)
    assert service.names() == ["RegisterActivation", "Forward", "Forward"]
    assert service.calls[1].activation == "sha256:1"


def test_sends_text_constants_derivative_and_exact(fake, service):
    f = actserve.activation(
        "def f(x): return a * x",
        constants={"a": 2},
        derivative="def d(x): return a",
        exact=True,
    )

    fake.register_activation(f)

    (request,) = service.calls
    assert request.text == "def f(x): return a * x"
    assert request.derivative == "def d(x): return a"
    assert dict(request.constants) == {"a": 2.0}
    assert request.exact


def test_sends_names_as_they_are(fake, service):
    fake.forward("gelu", X, parameters={"a": 1})

    (request,) = service.calls
    assert request.activation == "gelu"
    assert [(p.name, p.scalar) for p in request.parameters] == [("a", 1.0)]


def test_sends_an_axis_only_if_there_is_one(fake, service):
    fake.forward("f", X)
    fake.forward("f", X, axis=-1)
    fake.backward("f", X, axis=np.int64(0))
    _, _, residual = fake.forward_with("f", X, axis=0, keep_residual=True)
    service.failures = [GONE]
    fake.backward("f", residual=residual, axis=-1)

    none, *others, kept, gone, resent = service.calls
    assert not none.HasField("axis")
    assert [call.axis for call in others] == [-1, 0]
    assert [call.axis for call in (kept, gone, resent)] == [0, 0, 0]
    assert all(call.HasField("axis") for call in service.calls[1:])


def test_registers_again_where_unknown(fake, service):
    service.failures = [None, UNKNOWN]

    y = fake.forward(DOUBLE, X)

    np.testing.assert_array_equal(y, 2 * X)
    assert service.names() == ["RegisterActivation", "Forward"] * 2
    assert service.calls[3].activation == "sha256:3"


def test_registers_again_as_often_as_the_server_forgets(fake, service):
    """A server that restarted twice within one call failed it."""
    service.failures = [None, UNKNOWN, None, UNKNOWN, None, UNKNOWN]

    y = fake.forward(DOUBLE, X)

    np.testing.assert_array_equal(y, 2 * X)
    assert service.names() == ["RegisterActivation", "Forward"] * 4
    assert service.calls[-1].activation == "sha256:7"


@pytest.mark.parametrize("max_attempts", [1, 3])
def test_registers_again_at_most_as_often_as_it_tries(
    connect, service, max_attempts
):
    service.failures = [None, UNKNOWN] * 20

    with (
        connect(service.address, max_attempts=max_attempts) as client,
        pytest.raises(actserve.ActivationError) as caught,
    ):
        client.forward(DOUBLE, X)

    assert caught.value.reason == "ACTIVATION_UNKNOWN"
    assert service.names() == ["RegisterActivation", "Forward"] * (
        1 + max_attempts
    )


def test_registers_again_to_describe_its_own(fake, service):
    service.failures = [None, UNKNOWN]

    info = fake.get_activation(DOUBLE)

    assert info.name == "sha256:3"
    assert service.names() == ["RegisterActivation", "GetActivation"] * 2


def test_does_not_register_names(fake, service):
    service.failures = [UNKNOWN]

    with pytest.raises(actserve.ActivationError) as caught:
        fake.forward("sha256:00", X)

    assert caught.value.code is grpc.StatusCode.NOT_FOUND
    assert service.names() == ["Forward"]


def test_retries_while_unavailable(pausing, service):
    service.failures = [UNAVAILABLE, UNAVAILABLE]

    np.testing.assert_array_equal(pausing.forward("f", X), 2 * X)

    assert len(service.calls) == 3
    assert 0.075 <= pausing.pauses[0] <= 0.125
    assert 0.15 <= pausing.pauses[1] <= 0.25


@pytest.mark.parametrize("failure", [UNAVAILABLE, FULL])
@pytest.mark.parametrize("max_attempts", [1, 3, 7])
def test_attempts_are_bounded(connect, service, failure, max_attempts):
    service.failures = [failure] * 20
    service.pushback = "1"

    with (
        connect(service.address, max_attempts=max_attempts) as client,
        pytest.raises(actserve.ActivationError) as caught,
    ):
        client.forward("f", X)

    assert caught.value.code is failure[0]
    assert len(service.calls) == max_attempts


def test_a_call_is_sent_7_times_by_default(pausing, service):
    service.failures = [UNAVAILABLE] * 20

    with pytest.raises(actserve.ActivationError):
        pausing.forward("f", X)

    assert len(service.calls) == 7
    assert len(pausing.pauses) == 6
    assert 5.1 * 0.75 <= sum(pausing.pauses) <= 5.1 * 1.25


def test_comes_back_to_a_full_queue_when_it_is_told(pausing, service):
    service.failures = [FULL] * 6
    service.pushback = "250"

    np.testing.assert_array_equal(pausing.forward("f", X), 2 * X)

    assert len(service.calls) == 7
    assert pausing.pauses == [0.25] * 6


@pytest.mark.parametrize("pushback", [None, "-1", "soon", "1e3"])
def test_a_full_queue_that_names_no_pause_is_not_repeated(
    fake, service, pushback
):
    service.failures = [FULL]
    service.pushback = pushback

    with pytest.raises(actserve.ActivationError) as caught:
        fake.forward("f", X)

    assert caught.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert len(service.calls) == 1


@pytest.mark.parametrize("code", NOBODY_ANSWERED)
def test_repeats_what_nobody_answered(pausing, service, code):
    service.failures = [(code, None)] * 2
    service.marks_errors = False

    np.testing.assert_array_equal(pausing.forward("f", X), 2 * X)

    assert len(service.calls) == 3
    assert 0.075 <= pausing.pauses[0] <= 0.125


@pytest.mark.parametrize("code", NOBODY_ANSWERED)
def test_attempts_without_an_answer_are_bounded(fake, service, code):
    service.failures = [(code, None)] * 20
    service.marks_errors = False
    service.pushback = "1"

    with pytest.raises(actserve.ActivationError) as caught:
        fake.forward("f", X)

    assert caught.value.code is code
    assert len(service.calls) == 7


def test_a_pause_beyond_the_timeout_is_not_begun(pausing, service):
    service.failures = [FULL]
    service.pushback = "60000"

    with pytest.raises(actserve.ActivationError) as caught:
        pausing.forward("f", X)

    assert caught.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert len(service.calls) == 1
    assert pausing.pauses == []


def test_registers_an_id_of_its_own_again(fake, service):
    first = fake.register_activation(DOUBLE).id
    service.failures = [UNKNOWN]

    fake.forward(first, X)
    fake.forward(first, X)

    assert service.names() == [
        "RegisterActivation",
        "Forward",
        "RegisterActivation",
        "Forward",
        "Forward",
    ]
    assert service.calls[-1].activation == "sha256:3"


@pytest.mark.parametrize(
    "code",
    [
        *NOBODY_ANSWERED,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.DEADLINE_EXCEEDED,
    ],
)
def test_does_not_retry_the_servers_own_errors(fake, service, code):
    service.failures = [(code, None)]

    with pytest.raises(actserve.ActivationError) as caught:
        fake.forward("f", X)

    assert caught.value.code is code
    assert len(service.calls) == 1


def test_timeout_covers_the_retries(pausing, service):
    service.failures = [UNAVAILABLE] * 20

    with pytest.raises(actserve.ActivationError):
        pausing.forward("f", X, timeout=0.01)

    assert len(service.calls) <= 1
    assert pausing.pauses == []


def test_timeout_already_past(fake, service):
    with pytest.raises(actserve.ActivationError) as caught:
        fake.forward("f", X, timeout=0)

    assert caught.value.code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert service.calls == []


@pytest.mark.parametrize("timeout", [math.inf, 1e12, 7.4e9])
def test_a_very_long_timeout_is_no_error(fake, service, timeout):
    fake.forward("f", X, timeout=timeout)

    assert len(service.calls) == 1


def test_a_timeout_is_a_number_of_seconds(connect, fake):
    with pytest.raises(TypeError, match=r"timeout None .* math.inf"):
        connect("127.0.0.1:1", timeout=None)
    with pytest.raises(ValueError, match="timeout 0 is not positive"):
        connect("127.0.0.1:1", timeout=0)
    with pytest.raises(ValueError, match="timeout nan"):
        connect("127.0.0.1:1", timeout=math.nan)
    with pytest.raises(ValueError, match="timeout nan"):
        fake.forward("f", X, timeout=math.nan)


def test_arguments_of_another_type_are_named(connect, fake):
    with pytest.raises(TypeError, match=r"\[\] is no Residual"):
        fake.release_residuals([])
    with pytest.raises(TypeError, match="address 5 is not a string"):
        connect(5)


def test_partials_are_asked_for_by_name(fake, service):
    _, partials, residual = fake.forward_with(DOUBLE, X, partials=True)

    assert list(service.calls[-1].partials) == ["x"]
    np.testing.assert_array_equal(partials["x"], [2, 2])
    assert residual is None


def test_partials_of_a_name_ask_for_its_inputs_once(fake, service):
    fake.forward_with("f", X, partials=True)
    fake.forward_with("f", X, partials=True)

    assert service.names() == ["GetActivation", "Forward", "Forward"]


def test_residual_stands_for_the_inputs(fake, service):
    _, _, residual = fake.forward_with(
        "f", X, keep_residual=True, residual_lease=1.5
    )

    gradients = fake.backward("f", residual=residual, grad_output=X)

    forward, backward = service.calls
    assert forward.residual_lease.ToMilliseconds() == 1500
    assert backward.residual == service.residual
    assert not backward.inputs
    assert len(backward.payload) == 1
    np.testing.assert_array_equal(gradients["x"], X)


def test_cotangents_follow_grad_output(fake, service):
    v = X + 1
    options = {
        "grad_output": X,
        "order": 2,
        "cotangents": {"a": 2, "x": v},
        "wrt": ("x",),
    }
    _, _, residual = fake.forward_with("f", X, keep_residual=True)
    fake.backward("f", residual=residual, **options)
    fake.backward("f", X, **options)

    by_handle, by_inputs = service.calls[-2:]
    for request in (by_handle, by_inputs):
        assert request.order == 2
        of_a, of_x = request.cotangents
        assert (of_a.name, of_a.scalar) == ("a", 2)
        assert (of_x.name, list(of_x.tensor.shape)) == ("x", list(X.shape))
        assert request.payload[-2:] == [X.tobytes(), v.tobytes()]
    assert [len(r.payload) for r in (by_handle, by_inputs)] == [2, 3]


def test_an_order_of_1_is_not_sent(fake, service):
    fake.backward("f", X, order=1)
    assert not service.calls[-1].HasField("order")


def test_lost_residual_resends_the_inputs(fake, service):
    _, _, residual = fake.forward_with(
        DOUBLE, X, parameters={"a": 3}, keep_residual=True
    )
    service.failures = [GONE, UNKNOWN]

    fake.backward(DOUBLE, residual=residual, grad_output=-X)

    last = service.calls[-1]
    assert service.names()[2:] == [
        "Backward",
        "Backward",
        "RegisterActivation",
        "Backward",
    ]
    assert last.residual == b""
    assert list(last.payload) == [X.tobytes(), (-X).tobytes()]
    assert last.parameters[0].scalar == 3
    assert not residual.is_held


def test_two_restarts_within_a_backward_lose_nothing(fake, service):
    _, _, residual = fake.forward_with(DOUBLE, X, keep_residual=True)
    service.calls.clear()
    service.failures = [UNKNOWN, None, GONE, UNKNOWN, None, UNKNOWN]

    gradients = fake.backward(DOUBLE, residual=residual)

    np.testing.assert_array_equal(gradients["x"], X)
    assert service.names() == [
        "Backward",
        "RegisterActivation",
        "Backward",
        "Backward",
        "RegisterActivation",
        "Backward",
        "RegisterActivation",
        "Backward",
    ]


@pytest.mark.parametrize("handle", [b"", b"x"], ids=["refused", "expired"])
def test_residual_that_is_not_held_sends_the_inputs(fake, service, handle):
    service.residual = handle
    _, _, residual = fake.forward_with("f", X, keep_residual=True)
    residual._expires = 0

    fake.backward("f", residual=residual)

    assert service.names() == ["Forward", "Backward"]
    assert list(service.calls[-1].payload) == [X.tobytes()]


def test_lists_page_by_page(fake, service):
    bare = fake.list_activations()
    full = fake.list_activations(with_texts=True)

    assert [info.name for info in bare] == ["gelu", "relu"]
    assert [info.text for info in bare] == ["", ""]
    assert [info.text for info in full] == ["def ...", "def ..."]
    assert [call.page_token for call in service.calls] == ["", "1"] * 2


def test_only_get_activation_asks_for_gradients(fake, service):
    fake.forward_with("gelu", X, partials=True)
    fake.get_activation("gelu")

    asked = [c.with_gradients for c in service.calls if "Get" in repr(type(c))]
    assert asked == [False, True]


def test_releases_many_residuals_in_several_calls(fake, service):
    residuals = [
        fake.forward_with("gelu", X, keep_residual=True)[2] for _ in range(3)
    ]
    service.calls.clear()

    assert fake.release_residuals(*(residuals * 500)) == 1500
    assert [len(call.handles) for call in service.calls] == [1024, 476]


def test_released_residual_sends_the_inputs(fake, service):
    _, _, residual = fake.forward_with("f", X, keep_residual=True)

    assert fake.release_residuals(residual) == 1
    fake.backward("f", residual=residual)

    assert service.calls[-1].residual == b""


def test_residual_excludes_inputs(fake):
    _, _, residual = fake.forward_with("f", X, keep_residual=True)

    with pytest.raises(TypeError, match="residual stands for the inputs"):
        fake.backward("f", X, residual=residual)


def test_gradients_of_parameters_are_floats(fake, service):
    gradients = fake.backward("f", X, grad_output=1.0, wrt=["a", "x"])

    assert list(gradients) == ["a", "x"]
    assert gradients["a"] == 0.5
    assert isinstance(gradients["a"], float)
    assert list(service.calls[-1].wrt) == ["a", "x"]


def test_grad_output_numbers_take_the_dtype_of_the_inputs(fake, service):
    fake.backward("f", X.astype(np.float64), grad_output=[1, 2])

    request = service.calls[-1]
    assert request.grad_output.dtype == request.inputs[0].dtype


def test_diagnostics_of_a_text_are_data(fake, service):
    remarks = activation_pb2.Diagnostics()
    remarks.diagnostics.add(
        severity=activation_pb2.Diagnostic.ERROR,
        line=1,
        column=18,
        message="y is not defined",
    )
    code = grpc.StatusCode.INVALID_ARGUMENT
    service.failures = [(code, None, remarks)]

    with pytest.raises(actserve.ActivationError) as caught:
        fake.forward(actserve.activation("def f(x): return y"), X)

    assert caught.value.diagnostics == (
        actserve.Diagnostic("error", 1, 18, "y is not defined"),
    )
    assert str(caught.value) == "INVALID_ARGUMENT: fake"
    assert pickle.loads(pickle.dumps(caught.value)).args == caught.value.args


def test_plain_functions_are_refused_with_advice(fake):
    with pytest.raises(TypeError, match=r"decorate it with @actserve"):
        fake.forward(lambda x: x, X)


def test_health_is_not_retried(connect):
    begin = time.monotonic()

    with (
        connect("127.0.0.1:1") as client,
        pytest.raises(actserve.ActivationError) as caught,
    ):
        client.health()

    assert caught.value.code is grpc.StatusCode.UNAVAILABLE
    assert time.monotonic() - begin < 4  # six pauses are 5 s


def test_threads_share_a_client(fake):
    arrays = [np.full(100, i, np.float32) for i in range(32)]

    with futures.ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda x: fake.forward(DOUBLE, x), arrays))

    for x, y in zip(arrays, results, strict=True):
        np.testing.assert_array_equal(y, 2 * x)


def test_closed_client_says_so(connect, service):
    with connect(service.address) as client:
        client.forward("f", X)
    client.close()

    with pytest.raises(actserve.ActivationError, match="client is closed"):
        client.forward("f", X)


def test_client_pickles_as_its_address(fake):
    with pickle.loads(pickle.dumps(fake)) as copy:
        np.testing.assert_array_equal(copy.forward("f", X), 2 * X)


def test_client_in_use_refuses_to_work_after_a_fork(pausing, monkeypatch):
    pausing.forward("f", X)
    monkeypatch.setattr("os.getpid", lambda: -1)

    with pytest.raises(actserve.ActivationError, match="connect again"):
        pausing.forward("f", X)
    monkeypatch.undo()


def test_nobody_there(connect):
    with (
        connect("127.0.0.1:1", max_attempts=1) as client,
        pytest.raises(actserve.ActivationError) as caught,
    ):
        client.forward("f", X)

    assert caught.value.code is grpc.StatusCode.UNAVAILABLE


def _child(client, address, queue):
    try:
        client.forward("f", X)
    except actserve.ActivationError as error:
        queue.put(error.message)
    with actserve.connect(address, timeout=20) as own:
        queue.put(own.forward("f", X).tolist())


def test_a_forked_child_connects_again(fake, service):
    fake.forward("f", X)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_child, args=(fake, service.address, queue))
    child.start()

    try:
        assert "connect again" in queue.get(timeout=30)
        assert queue.get(timeout=30) == [2, -4]
    finally:
        child.kill()
        child.join(30)


def test_close_ends_calls_in_progress(connect, service):
    entered, leave = threading.Event(), threading.Event()

    def wait(request, context):
        entered.set()
        leave.wait(10)
        context.abort(grpc.StatusCode.INTERNAL, "late")

    service._begin = wait
    client = connect(service.address)
    with futures.ThreadPoolExecutor(1) as pool:
        call = pool.submit(client.forward, "f", X)
        assert entered.wait(10)
        client.close()
        with pytest.raises(actserve.ActivationError) as caught:
            call.result(10)
        leave.set()

    assert caught.value.code is grpc.StatusCode.CANCELLED


def test_the_library_lives_beside_grpcio_and_protobuf(service):
    """Two gRPC and two protobuf in one process, all at work at once."""
    clients = [actserve.connect(service.address, pure=p) for p in (True, False)]
    clients.append(actserve.connect("local"))
    x = np.linspace(-1, 1, 70_000, dtype=np.float32)
    want = [2 * x, 2 * x, np.maximum(x, 0)]

    def run(i):
        assert (
            activation_pb2.Activation.FromString(
                activation_pb2.Activation(name="a").SerializeToString()
            ).name
            == "a"
        )
        return np.array_equal(clients[i % 3].forward("relu", x), want[i % 3])

    with futures.ThreadPoolExecutor(6) as pool:
        assert all(pool.map(run, range(60)))
    for client in clients:
        client.close()
