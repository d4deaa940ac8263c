"""Values and gradients of a Spec, against NumPy in float64."""

import copy
import multiprocessing
import pickle
import time
import warnings

import grpc
import ml_dtypes
import numpy as np
import pytest
from bridge_cases import GATED, SOFTMAX, SPIKY, STEP, SWISH, sigmoid

import actserve
from actserve._bridge import Spec, evaluator
from actserve._bridge.learnable import by_name

pytestmark = pytest.mark.server


@pytest.fixture(params=["local", "unix", "tcp"])
def address(request, shared_server):
    """An address of each distance."""
    return {
        "local": "local",
        "unix": shared_server.unix_address,
        "tcp": shared_server.address,
    }[request.param]


@pytest.fixture
def x():
    return np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)


def swish_slopes(x, beta):
    """d/dx and d/dbeta of x * sigmoid(beta * x), in float64."""
    x = np.asarray(x, np.float64)
    s = sigmoid(beta * x)
    return s + beta * x * s * (1 - s), x * x * s * (1 - s)


def test_forward_and_backward_with_a_number_and_per_channel(address, x):
    for axis, beta in (
        (None, np.array(1.5, np.float32)),
        (1, np.linspace(0.5, 2, 4, dtype=np.float32)),
    ):
        spec = Spec.make(SWISH, address, parameters=[("beta", axis)])
        of = evaluator(spec)
        dy = np.cos(x)

        y = of.forward([x, beta])
        dx, dbeta = of.backward([x, beta], dy, of.variables)

        by_x, by_beta = swish_slopes(x, beta)
        np.testing.assert_allclose(y, x * sigmoid(beta * x), rtol=1e-6)
        np.testing.assert_allclose(dx, dy * by_x, rtol=1e-5, atol=1e-7)
        want = (dy * by_beta).sum(axis=None if axis is None else 0)
        np.testing.assert_allclose(dbeta, want, rtol=1e-5)
        assert (dbeta.shape, dbeta.dtype) == (beta.shape, beta.dtype)


def test_values_of_another_dtype_take_that_of_the_inputs(address, x):
    beta = np.linspace(0.5, 2, 4, dtype=np.float32)
    of = evaluator(Spec.make(SWISH, address, parameters=[("beta", -1)]))
    half = x.astype(ml_dtypes.bfloat16)

    y = of.forward([half, beta])
    dx, dbeta = of.backward([half, beta], np.ones_like(half), of.variables)

    assert (y.dtype, dx.dtype) == (half.dtype, half.dtype)
    assert dbeta.dtype == np.float32
    np.testing.assert_allclose(
        dbeta, swish_slopes(half, beta)[1].sum(0), rtol=0.05, atol=0.05
    )


def test_partials_and_residual_give_the_gradient(address, x):
    of = evaluator(Spec.make(SWISH, address, constants={"beta": 1.5}))
    dy = np.sin(x)
    want = dy * swish_slopes(x, 1.5)[0]

    y, (partial,) = of.forward_with_partials([x])
    again, residual = of.forward_with_residual([x])
    (dx,) = of.backward([x], dy, ["x"], residual=residual)

    assert y.tobytes() == again.tobytes() == of.forward([x]).tobytes()
    np.testing.assert_allclose(partial * dy, want, rtol=1e-5, atol=1e-7)
    assert dx.tobytes() == of.backward([x], dy, ["x"])[0].tobytes()


def test_results_are_written_to_out(address, x):
    of = evaluator(Spec.make(SPIKY, address))
    y, dx = np.empty_like(x), np.empty_like(x)

    assert of.forward([x], out=y) is y
    assert of.backward([x], x, ["x"], out={"x": dx})[0] is dx

    r = x % np.float32(1)
    np.testing.assert_array_equal(y, np.where(r <= 0.5, r, 0))
    np.testing.assert_array_equal(dx, np.where(r <= 0.5, x, 0))


def test_second_order_is_the_derivative_of_the_gradient(address):
    x = np.linspace(-2, 2, 9)
    beta = np.array(1.5)
    of = evaluator(Spec.make(SWISH, address, parameters=[("beta", None)]))
    dy, v = np.cos(x), np.sin(x) + 1

    by_x, by_dy, by_beta = of.second_order(
        [x, beta], dy, {"x": v}, ["x", "dL/dy", "beta"]
    )

    def slope(x, beta):
        return swish_slopes(x, beta)[0]

    h = 1e-5
    np.testing.assert_allclose(
        by_x,
        v * dy * (slope(x + h, 1.5) - slope(x - h, 1.5)) / (2 * h),
        rtol=1e-7,
        atol=1e-8,
    )
    np.testing.assert_allclose(by_dy, v * slope(x, 1.5), rtol=1e-12)
    np.testing.assert_allclose(
        by_beta,
        (v * dy * (slope(x, 1.5 + h) - slope(x, 1.5 - h)) / (2 * h)).sum(),
        rtol=1e-7,
    )


def test_jvp_moves_inputs_and_numbers(address):
    x = np.linspace(-2, 2, 9)
    of = evaluator(Spec.make(SWISH, address, parameters=[("beta", None)]))

    y, dy = of.jvp([x, np.array(1.5)], {"x": np.cos(x), "beta": np.array(0.5)})

    by_x, by_beta = swish_slopes(x, 1.5)
    np.testing.assert_allclose(y, x * sigmoid(1.5 * x), rtol=1e-12)
    np.testing.assert_allclose(dy, by_x * np.cos(x) + 0.5 * by_beta, rtol=1e-12)


def test_rows_and_gates(address, x):
    rows = evaluator(Spec.make(SOFTMAX, address, axis=0))
    e = np.exp(x - x.max(0))
    np.testing.assert_allclose(rows.forward([x]), e / e.sum(0), rtol=1e-5)

    gate = evaluator(Spec.make(GATED, address, split_axis=1))
    assert gate.variables == ("*",)
    assert gate.result_shape([x.shape]) == (3, 2)
    np.testing.assert_allclose(
        gate.forward([x]), x[:, :2] * sigmoid(x[:, 2:]), rtol=1e-6
    )
    assert gate.backward([x], x[:, :2].copy(), ["*"])[0].shape == x.shape


def test_a_derivative_is_an_activation_with_derivatives():
    x = np.linspace(-2, 2, 9)
    first = evaluator(Spec.make(SWISH, "local", constants={"beta": 1.5}))
    second = evaluator(first.derivative("x"))
    third = evaluator(second.derivative("x"))

    h = 1e-5
    np.testing.assert_allclose(
        second.forward([x]), swish_slopes(x, 1.5)[0], rtol=1e-12
    )
    np.testing.assert_allclose(
        third.forward([x]),
        (second.forward([x + h]) - second.forward([x - h])) / (2 * h),
        rtol=1e-7,
        atol=1e-8,
    )
    by_beta = evaluator(first.derivative("beta"))
    np.testing.assert_allclose(
        by_beta.forward([x]), swish_slopes(x, 1.5)[1], rtol=1e-12
    )


def test_directions_of_another_dtype_take_that_of_the_inputs(address):
    x = np.linspace(-2, 2, 8).reshape(2, 4)
    beta = np.linspace(0.5, 2, 4, dtype=np.float32)
    of = evaluator(Spec.make(SWISH, address, parameters=[("beta", -1)]))
    moved = np.ones(4, np.float32)

    _, tangent = of.jvp([x, beta], {"beta": moved})
    (by_dy,) = of.second_order([x, beta], x, {"beta": moved}, ["dL/dy"])

    np.testing.assert_allclose(tangent, swish_slopes(x, beta)[1], rtol=1e-12)
    np.testing.assert_allclose(by_dy, swish_slopes(x, beta)[1], rtol=1e-12)


def test_nobody_is_warned_of_a_derivative(address):
    spiky = evaluator(Spec.make(SPIKY, address))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        second = evaluator(evaluator(spiky.derivative("x")).derivative("x"))
        assert not second.forward([np.ones(3)]).any()


def test_the_program_id_names_the_numbers(address):
    def id_of(activation, dtype, **options):
        spec = Spec.make(activation, address, **options)
        return evaluator(spec).program_id(np.dtype(dtype))

    ids = [
        id_of(SWISH, "float32"),
        id_of(SWISH, "float64"),
        id_of(GATED, "float32"),
        id_of(SOFTMAX, "float32", axis=-1),
    ]

    assert len(set(ids)) == 4
    assert id_of(SWISH + "  # a note", "float32") == ids[0]
    assert id_of(GATED, "float32", split_axis=0) == ids[2]
    here = evaluator(Spec.make(SWISH, "local"))
    assert here.program_id(np.dtype("float32")) == ids[0]


def test_what_is_no_function_of_the_element_has_no_derivative():
    assert (
        evaluator(Spec.make("softmax", "local", axis=-1)).derivative("x")
        is None
    )
    assert evaluator(Spec.make(STEP, "local")).derivative("x") is None
    gate = Spec.make(GATED, "local", split_axis=0)
    assert evaluator(gate).derivative("x") is None


def test_the_cheapest_way_is_taken(shared_server):
    float32, bfloat16 = np.dtype(np.float32), np.dtype(ml_dtypes.bfloat16)

    def way(spec, dtype=float32, keeps=True):
        return evaluator(spec).gradient_way(dtype, keeps)

    remote = shared_server.address
    assert way(Spec.make("gelu", "local")) == "stateless"
    assert way(Spec.make("gelu", remote)) == "partials"
    assert way(Spec.make("gelu", remote), bfloat16) == "residual"
    assert way(Spec.make("gelu", remote), bfloat16, False) == "stateless"
    assert way(Spec.make(GATED, remote)) == "residual"
    assert way(Spec.make("softmax", remote, axis=0)) == "residual"
    assert way(Spec.make(STEP, remote)) == "residual"
    learnable = Spec.make(SWISH, remote, parameters=[("beta", None)])
    assert way(learnable) == "residual"
    assert way(Spec.make("gelu", remote, gradient="stateless")) == "stateless"
    assert way(Spec.make("gelu", "local", gradient="partials")) == "partials"


def test_bfloat16_on_the_wire_rounds_inputs_and_results(address, x):
    of = evaluator(Spec.make("gelu", address, wire_dtype="bfloat16"))
    half = x.astype(ml_dtypes.bfloat16)
    want = evaluator(Spec.make("gelu", address)).forward([half])

    y = of.forward([x])
    (dx,) = of.backward([x], x, ["x"])

    assert (y.dtype, dx.dtype) == (np.float32, np.float32)
    np.testing.assert_array_equal(y, want.astype(np.float32))


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        (
            {"constants": {"alpha": 1}},
            TypeError,
            "swish has no parameter 'alpha'; it has beta",
        ),
        (
            {"gradient": "partials", "parameters": [("beta", None)]},
            ValueError,
            "gradient='partials': swish must have one input",
        ),
    ],
)
def test_what_no_call_could_do_is_refused(spec, error, message):
    with pytest.raises(error, match=message):
        evaluator(Spec.make(SWISH, "127.0.0.1:1", **spec))


def test_rows_need_an_axis():
    with pytest.raises(ValueError, match="soft reads rows: give the axis"):
        evaluator(Spec.make(SOFTMAX, "local"))


def test_errors_of_the_text_are_raised_at_once():
    with pytest.raises(actserve.ActivationError, match="zeta"):
        evaluator(Spec.make("def f(x): return x * zeta", "127.0.0.1:1"))


@pytest.mark.parametrize(
    ("spec", "shapes", "message"),
    [
        (Spec.make(GATED, "local"), [(3,)], "takes 2 inputs .x, gate., not 1"),
        (Spec.make(GATED, "local"), [(3,), (4,)], "broadcast"),
        (Spec.make(GATED, "local", split_axis=1), [(4,)], "is no axis of"),
        (Spec.make(GATED, "local", split_axis=0), [(5,)], "does not split"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(spec, shapes, message):
    with pytest.raises(ValueError, match=message):
        evaluator(spec).result_shape(shapes)


def test_the_information_needs_no_server():
    of = evaluator(Spec.make(GATED, "127.0.0.1:1"))

    assert of.inputs == ("x", "gate")
    assert of.result_shape([(3, 1), (4,)]) == (3, 4)
    assert not of.reads_rows


def test_copies_are_the_same_and_pickles_equal():
    of = evaluator(Spec.make("gelu", "local"))

    assert copy.deepcopy(of) is of
    assert pickle.loads(pickle.dumps(of)) is of


def in_child(of, x, results):
    results.put(of.forward([x]))


def test_it_survives_a_fork(address, x):
    of = evaluator(Spec.make("gelu", address))
    want = of.forward([x])
    fork = multiprocessing.get_context("fork")
    results = fork.Queue()

    child = fork.Process(target=in_child, args=(of, x, results))
    child.start()
    y = results.get(timeout=60)
    child.join(60)

    np.testing.assert_array_equal(y, want)
    assert child.exitcode == 0


def test_a_client_object_survives_a_fork(connect, shared_server, x):
    client = connect(shared_server.address)
    of = evaluator(Spec.make("gelu", client))
    want = of.forward([x])
    fork = multiprocessing.get_context("fork")
    results = fork.Queue()

    child = fork.Process(target=in_child, args=(of, x, results))
    child.start()
    y = results.get(timeout=60)
    child.join(60)

    np.testing.assert_array_equal(y, want)
    client.close()


def test_without_fallback_a_server_that_is_away_is_an_error(x):
    of = evaluator(Spec.make("gelu", "127.0.0.1:1", timeout=0.2))

    with pytest.raises(actserve.ActivationError) as caught:
        of.forward([x])

    assert caught.value.code in (
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
    )


def test_fallback_computes_here_until_the_server_is_back(server, x, caplog):
    client = actserve.connect(server.address, max_attempts=2)
    spec = Spec.make(GATED, client, fallback="local")
    of = evaluator(spec)
    before = actserve.fallback_counts().get(server.address, 0)
    y, residual = of.forward_with_residual([x, x])
    server.kill()

    away = of.forward([x, x])
    dx, dgate = of.backward([x, x], x, ["x", "gate"], residual=residual)
    num_away = actserve.fallback_counts()[server.address] - before
    server.start()
    for _ in range(400):
        again = of.forward([x, x])
        if "answers again" in caplog.text:
            break
        time.sleep(0.05)

    assert away.tobytes() == y.tobytes() == again.tobytes()
    here = evaluator(Spec.make(GATED, "local"))
    assert dx.tobytes() == here.backward([x, x], x, ["x"])[0].tobytes()
    assert dgate.shape == x.shape
    assert num_away == 2
    assert caplog.text.count("computing in this process") == 1
    assert "answers again" in caplog.text


def test_fallback_does_not_hide_errors_of_the_call(x):
    of = evaluator(Spec.make("gelu", "local", fallback="local"))

    with pytest.raises(TypeError, match="int64"):
        of.forward([x.astype(np.int64)])


@pytest.mark.parametrize(
    ("learnable", "channels", "error", "message"),
    [
        (True, None, TypeError, "learnable is True: give names"),
        ((), 32, ValueError, "channels is 32, but no parameter is learnable"),
    ],
)
def test_what_cannot_be_learned_is_said(learnable, channels, error, message):
    with pytest.raises(error, match=message):
        by_name(learnable, channels)


@pytest.mark.parametrize("learnable", ["beta", ["beta"], {"beta": None}])
def test_what_is_learned_may_be_named(learnable):
    assert by_name(learnable, 3) == {"beta": None}
