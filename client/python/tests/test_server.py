"""The whole way: text through gRPC to a compiled kernel and back."""

import math
from concurrent import futures

import grpc
import ml_dtypes
import numpy as np
import pytest

import actserve
from actserve._ways import Remote
from actserve.v1 import (
    activation_pb2,
    service_pb2,
    service_pb2_grpc,
    tensor_pb2,
)

pytestmark = pytest.mark.server

DTYPES = [np.float16, ml_dtypes.bfloat16, np.float32, np.float64]
SHAPES = [(), (0,), (1,), (17,), (3, 0, 2), (2, 3, 4)]
LEAK = 0.125


@actserve.activation
def spiky(x):
    """The question that this project began with."""
    r = x % 1
    if r <= 0.5:
        return r
    else:
        return 0


@actserve.activation
def leaky(x, slope=LEAK):
    """A leak with a slope that a call may change."""
    return x if x > 0 else slope * x


@actserve.activation
def gated(a, b):
    """A bilinear gate."""
    return a * b + b


def same_bits(a, b):
    """Whether two arrays agree in dtype, shape and bytes."""
    return (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())


def test_spiky_is_what_numpy_says(client):
    x = np.array([0.2, 0.7, 1.2, 1.7], np.float32)

    y = client.forward(spiky, x)
    dx = client.backward(spiky, x, grad_output=np.ones_like(x))["x"]

    assert str(y) == "[0.2        0.         0.20000005 0.        ]"
    np.testing.assert_array_equal(
        y, np.array([0.2, 0, 0.20000005, 0], np.float32)
    )
    np.testing.assert_array_equal(dx, np.array([1, 0, 1, 0], np.float32))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_exact_functions_in_every_dtype_and_shape(client, dtype, shape):
    generator = np.random.default_rng(3)
    x = np.asarray(generator.integers(-8, 8, shape), dtype)
    dy = np.asarray(generator.integers(-8, 8, shape), dtype)
    leak = dtype(LEAK)
    slope = np.where(x > 0, dtype(1), leak).astype(dtype)

    y, partials, residual = client.forward_with(
        leaky, x, partials=True, keep_residual=True
    )
    direct = client.backward(leaky, x, grad_output=dy)["x"]
    by_handle = client.backward(leaky, residual=residual, grad_output=dy)["x"]
    ones = client.backward(leaky, x)["x"]

    assert same_bits(y, np.asarray(x * slope))
    assert same_bits(partials["x"], np.asarray(slope))
    assert same_bits(direct, np.asarray(dy * slope))
    assert same_bits(by_handle, direct)
    assert same_bits(ones, np.asarray(slope))


def test_strides_and_byte_order_do_not_matter(client):
    x = np.linspace(-3, 3, 24, dtype=np.float32).reshape(4, 6)
    want = client.forward("gelu", x)

    np.testing.assert_array_equal(client.forward("gelu", x.T), want.T)
    np.testing.assert_array_equal(
        client.forward("gelu", x[::-2, ::3]), want[::-2, ::3]
    )
    np.testing.assert_array_equal(client.forward("gelu", x.astype(">f4")), want)


def test_python_numbers_are_float32(client):
    y = client.forward(spiky, [0.2, 1.2])

    assert same_bits(y, np.array([0.2, 0.20000005], np.float32))
    assert client.forward(spiky, 0.25).shape == ()


def test_gelu_is_close_to_its_formula(client):
    x = np.linspace(-6, 6, 1001)
    want = [0.5 * v * (1 + math.erf(v / math.sqrt(2))) for v in x]

    got = client.forward("gelu", x)

    np.testing.assert_allclose(got, want, rtol=1e-14, atol=1e-15)


def ripple(x, depth=0.5):
    if x > 0:
        return x
    return depth * math.sin(3.0 * x) * math.exp(x)


def bent(x, low=-1.0, high=2.0):
    y = min(max(x, low), high)
    y += 0.1 * (x - y) ** 3
    return y if abs(y) < 5 else 5 * y / abs(y)


def looped(x):
    y, power = 0.0, 1.0
    for i in range(6):
        y, power = y + power / (i + 1), power * x / 4
    return y


def stepped(x):
    a, b = x // 2, x % 2
    if 0 <= b < 0.5 and not a > 1:
        return a
    elif b < 1 or a == -2:
        return -b
    return a * b


def soft(x):
    return math.log(1 + math.exp(x)) + 1 / (1 + math.exp(-x)) - math.tanh(x)


@pytest.mark.parametrize(
    "function", [ripple, bent, looped, stepped, soft], ids=lambda f: f.__name__
)
def test_functions_are_what_python_computes(client, function):
    x = np.random.default_rng(11).uniform(-6, 6, 500)
    remote = actserve.activation(function)

    y = client.forward(remote, x)

    np.testing.assert_allclose(
        y, [remote(v) for v in x], rtol=1e-13, atol=1e-13
    )


def test_two_inputs(client):
    a = np.array([1, 2, 3], np.float32)
    b = np.array([4, 5, 6], np.float32)

    y = client.forward(gated, a, b)
    both = client.backward(gated, a, b)
    one = client.backward(gated, a, b, wrt=["b"])
    _, partials, _ = client.forward_with(gated, a, b, partials=["b"])

    np.testing.assert_array_equal(y, a * b + b)
    assert list(both) == ["a", "b"]
    np.testing.assert_array_equal(both["a"], b)
    np.testing.assert_array_equal(both["b"], a + 1)
    assert list(one) == ["b"]
    np.testing.assert_array_equal(partials["b"], a + 1)


def test_parameters_and_their_gradients(client):
    x = np.array([-1, 2, -3], np.float32)
    dy = np.array([1, 10, 100], np.float32)

    y, _, residual = client.forward_with(
        leaky, x, parameters={"slope": 0.5}, keep_residual=True
    )
    gradients = client.backward(
        leaky, residual=residual, grad_output=dy, wrt=["slope", "x"]
    )

    np.testing.assert_array_equal(y, [-0.5, 2, -1.5])
    assert gradients["slope"] == -301.0
    np.testing.assert_array_equal(gradients["x"], [0.5, 10, 50])


def test_gradient_written_by_the_author(client):
    def sign(x):
        return 1 if x > 0 else -1

    def sign_grad(x, dy):
        return dy if abs(x) <= 1 else 0

    def d_sign(x):
        return 1 - x if x > 0 else 1 + x

    x = np.array([-2, -0.5, 0.5, 2], np.float32)
    surrogate = actserve.activation(sign, gradient=sign_grad)
    triangle = actserve.activation(sign, derivative=d_sign)

    np.testing.assert_array_equal(client.forward(surrogate, x), [-1, -1, 1, 1])
    np.testing.assert_array_equal(
        client.backward(surrogate, x, grad_output=3 * x)["x"],
        [0, -1.5, 1.5, 0],
    )
    np.testing.assert_array_equal(
        client.backward(triangle, x)["x"], [-1, 0.5, 0.5, -1]
    )
    assert client.get_activation(surrogate).declared_gradient


def test_a_straight_through_gradient_is_a_note(shared_server):
    text = (
        "def ste(x):\n    return round(x)\n\n"
        "def ste_grad(x, dy):\n    return dy\n"
    )
    with grpc.insecure_channel(shared_server.address) as channel:
        stub = service_pb2_grpc.ActivationServiceStub(channel)

        response = stub.RegisterActivation(
            service_pb2.RegisterActivationRequest(text=text)
        )

    (note,) = response.diagnostics
    assert note.severity == activation_pb2.Diagnostic.NOTE
    assert note.line == 4
    assert "is not the derivative of ste: at x = " in note.message
    assert response.activation.gradient_check.variables[0].gradient == 1


def test_registration_tells_where_a_declared_gradient_differs(client):
    def clip(x, g, a=2.0):
        return a * x + g

    def clip_grad(x, g, dy):
        return 2 * dy if abs(x) <= 20 else 0, dy

    info = client.register_activation(
        actserve.activation(clip, gradient=clip_grad)
    )

    worst = info.gradient_check.variables
    assert list(worst) == ["x", "g"]
    assert abs(worst["x"].inputs["x"]) > 20
    assert list(worst["x"].inputs) == ["x", "g"]
    assert worst["x"].gradient == 0
    assert worst["x"].difference == pytest.approx(2)
    assert worst["x"].max_error == pytest.approx(1)
    assert worst["g"].max_error < 1e-6


@pytest.mark.parametrize(
    ("name", "x", "want"),
    [
        ("relu", 0, 0),
        ("absolute", 0, 0),
        ("leaky_relu", 0, 0.01),
        ("spiky", 0.5, 1),
        ("spiky", 1, 1),
    ],
)
def test_gradient_at_a_kink(client, name, x, want):
    assert client.backward(name, np.float64(x))["x"] == want


def test_branch_not_taken_never_reaches_the_gradient(client):
    @actserve.activation
    def root(x):
        return math.sqrt(x) if x > 0 else 0

    x = np.array([-4, 0, 4], np.float32)

    np.testing.assert_array_equal(client.backward(root, x)["x"], [0, 0, 0.25])


def test_nan_and_infinity_are_data(client):
    x = np.array([np.nan, np.inf, -np.inf], np.float32)

    np.testing.assert_array_equal(
        client.forward("relu", x), [np.nan, np.inf, 0]
    )


def test_equal_texts_have_one_id(client):
    renamed = actserve.activation(
        "def spiky(x):\n  part = x % 1  # A comment.\n"
        "  if part <= 0.5: return part\n  else: return 0\n"
    )

    assert (
        client.register_activation(renamed).id
        == client.register_activation(spiky).id
    )


def test_text_of_another_framework(client):
    text = actserve.activation(
        "import tensorflow as tf\n"
        "def original(x):\n"
        "  return tf.where(tf.less_equal(tf.floormod(x, tf.constant(1)),\n"
        "                  tf.constant(0.5)),\n"
        "                  tf.floormod(x, tf.constant(1)), tf.constant(0))\n"
    )
    x = np.random.default_rng(5).normal(size=10_000).astype(np.float32) * 9

    assert same_bits(client.forward(text, x), client.forward(spiky, x))


def test_diagnostics_of_a_text(client):
    text = "def f(x):\n  return sigmiod(x) + y\n"

    with pytest.raises(actserve.ActivationError) as caught:
        client.forward(actserve.activation(text), [1.0])

    error = caught.value
    assert error.code is grpc.StatusCode.INVALID_ARGUMENT
    assert [(d.line, d.column) for d in error.diagnostics] == [(2, 10), (2, 23)]
    assert "sigmoid" in str(error)
    assert "^" in str(error)


X = np.ones(4, np.float32)


@pytest.mark.parametrize(
    ("call", "code", "word"),
    [
        (lambda c: c.forward("geluu", X), "NOT_FOUND", "geluu"),
        (lambda c: c.forward("gelu"), "INVALID_ARGUMENT", "input"),
        (lambda c: c.forward("gelu", X, X), "INVALID_ARGUMENT", "input"),
        (
            lambda c: c.forward(gated, X, X[:2]),
            "INVALID_ARGUMENT",
            "shape",
        ),
        (
            lambda c: c.forward(gated, X, X.astype(np.float64)),
            "INVALID_ARGUMENT",
            "float64",
        ),
        (
            lambda c: c.forward(leaky, X, parameters={"slop": 1}),
            "INVALID_ARGUMENT",
            "slop",
        ),
        (
            lambda c: c.forward(leaky, X, parameters={"slope": math.nan}),
            "INVALID_ARGUMENT",
            "slope",
        ),
        (
            lambda c: c.backward("gelu", X, grad_output=X[:3]),
            "INVALID_ARGUMENT",
            "shape",
        ),
        (
            lambda c: c.backward("gelu", X, wrt=["z"]),
            "INVALID_ARGUMENT",
            "z",
        ),
        (
            lambda c: c.forward_with("gelu", X, partials=["x", "x"]),
            "INVALID_ARGUMENT",
            "x",
        ),
    ],
)
def test_bad_calls_get_a_clear_answer(client, call, code, word):
    with pytest.raises(actserve.ActivationError) as caught:
        call(client)

    assert caught.value.code.name == code
    assert word in caught.value.message


def test_message_over_the_limit(client, monkeypatch):
    """It is refused by gRPC, and is not sent again; the library streams it."""
    limit = client.get_server_info().limits["max_message_bytes"]
    x = np.ones(int(limit) // 4 + 1024, np.float32)
    if not isinstance(client._way, Remote):
        assert client.forward("relu", x).sum() == x.size
        return
    monkeypatch.setattr(client._way._replicas, "_sleep", pytest.fail)

    with pytest.raises(actserve.ActivationError) as caught:
        client.forward("relu", x)

    assert caught.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert client.health()


def test_the_server_tells_about_itself(client):
    info = client.get_server_info()
    builtins = {a.name for a in client.list_activations() if a.builtin}
    gelu = client.get_activation("gelu")

    assert client.health()
    assert info.dtypes == ("float16", "bfloat16", "float32", "float64")
    (device,) = info.devices
    assert device.name == "cpu"
    assert device.description != ""
    assert device.reason != ""
    assert device.counters["num_launches"] == 0
    assert len(device.counters["batch_sizes"]) == 11
    assert info.limits["max_inputs"] == 4
    assert {"relu", "gelu", "spiky"} <= builtins
    assert gelu.inputs == ("x",)
    assert gelu.id.startswith("sha256:")
    assert gelu.gradients
    assert gelu.gradient_check.num_points > 0
    assert gelu.gradient_check.max_error < 1e-3


def test_lists_more_than_a_page(connect, server):
    texts = [f"def f(x): return x + {i}.75" for i in range(1030)]
    with connect(server.address) as client:
        for text in texts:
            client.register_activation(actserve.activation(text))
        limit = client.get_server_info().limits["max_registered"]
        infos = client.list_activations(with_texts=True)

    listed = [info.text for info in infos if not info.builtin]
    assert listed == texts[-int(limit) :]


def test_unix_socket(connect, shared_server):
    with connect(shared_server.unix_address) as client:
        np.testing.assert_array_equal(client.forward("relu", X), X)


def test_release(client):
    _, _, residual = client.forward_with("gelu", X, keep_residual=True)

    assert client.release_residuals(residual) == 1
    np.testing.assert_array_equal(
        client.backward("gelu", residual=residual)["x"],
        client.backward("gelu", X)["x"],
    )


def test_residual_serves_a_repeated_backward(client):
    _, _, residual = client.forward_with("gelu", X, keep_residual=True)

    first = client.backward("gelu", residual=residual)["x"]
    second = client.backward("gelu", residual=residual)["x"]

    assert same_bits(first, second)


def test_threads(client):
    arrays = [
        np.random.default_rng(i).normal(size=1000 + i).astype(np.float32)
        for i in range(24)
    ]
    want = [client.backward(spiky, x, grad_output=x)["x"] for x in arrays]

    def step(x):
        _, _, residual = client.forward_with(spiky, x, keep_residual=True)
        return client.backward(spiky, residual=residual, grad_output=x)["x"]

    with futures.ThreadPoolExecutor(8) as pool:
        got = list(pool.map(step, arrays))

    assert all(map(same_bits, got, want))


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_restart_between_forward_and_backward_loses_nothing(
    connect, server, end
):
    x = np.linspace(-2, 2, 100, dtype=np.float32)
    with connect(server.address) as client:
        want = client.backward(spiky, x, grad_output=x)["x"]
        _, _, residual = client.forward_with(spiky, x, keep_residual=True)
        getattr(server, end)()
        with futures.ThreadPoolExecutor(1) as pool:
            step = pool.submit(
                client.backward, spiky, residual=residual, grad_output=x
            )
            server.start()
            got = step.result()["x"]

    assert same_bits(got, want)


def test_stops_with_status_0(connect, server):
    with connect(server.address) as client:
        client.forward("relu", X)

        assert server.stop() == 0


def test_a_client_of_generated_code(shared_server):
    """The contract alone, without this package's own wire code."""
    x = np.array([0.2, 0.7, 1.2, 1.7], np.float32)
    tensor = tensor_pb2.Tensor(dtype=tensor_pb2.DTYPE_FLOAT32, shape=[4])
    with grpc.insecure_channel(shared_server.address) as channel:
        stub = service_pb2_grpc.ActivationServiceStub(channel)

        response = stub.Forward(
            service_pb2.ForwardRequest(
                activation="spiky", inputs=[tensor], payload=[x.tobytes()]
            )
        )

    assert response.output == tensor
    assert response.device == "cpu"
    np.testing.assert_array_equal(
        np.frombuffer(response.payload[0], np.float32),
        np.array([0.2, 0, 0.20000005, 0], np.float32),
    )


def test_registration_says_what_the_server_noticed(client):
    flat = client.register_activation(
        actserve.activation("def flat(x): return 1 if x >= 0 else 0")
    )
    (warning,) = flat.diagnostics
    assert (warning.severity, warning.line) == ("warning", 1)
    assert "'x' is 0 everywhere" in warning.message

    smooth = client.register_activation(
        actserve.activation(
            "def step(x): return 1 if x >= 0 else 0\n"
            "def step_grad(x, dy): return dy * exp(-x * x)\n"
        )
    )
    (note,) = smooth.diagnostics
    assert note.severity == "note"
    assert "is declared and is not the derivative" in note.message
