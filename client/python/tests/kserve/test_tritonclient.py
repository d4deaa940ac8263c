"""KServe v2 as NVIDIA's own client calls it."""

import queue
import threading
import time

import ml_dtypes
import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

import actserve

X = np.array([[-1.5, -0.25, 0.0], [0.5, 2.0, 31.0]])
DY = np.array([[1.0, 2.0, -3.0], [0.25, 4.0, 1.0]])
DTYPES = {
    "FP16": np.float16,
    "BF16": ml_dtypes.bfloat16,
    "FP32": np.float32,
    "FP64": np.float64,
}


def tensor(name, array):
    """Returns an input with the elements of an array."""
    datatype = np_to_triton_dtype(array.dtype)
    result = triton.InferInput(name, array.shape, datatype)
    result.set_data_from_numpy(array)
    return result


def bits(array):
    """Returns the bits of floats, for which NaN equals itself."""
    return np.ascontiguousarray(array).view(f"u{array.dtype.itemsize}")


def register(native, text):
    """Returns the name of a text as a model."""
    return native.register_activation(actserve.Activation(text)).id


def heavy(number):
    """Returns a text that takes long to compile."""
    lines = [f"    y = sin(y) * {number}.5 + exp(-y * y)\n"] * 25
    return f"def f(x):\n    y = x\n{''.join(lines)}    return y\n"


def test_server_and_models(kserve):
    assert kserve.is_server_live()
    assert kserve.is_server_ready()
    assert kserve.is_model_ready("gelu")
    assert kserve.is_model_ready("gelu_backward", "1")
    assert not kserve.is_model_ready("gelu", "2")
    assert not kserve.is_model_ready("nope")
    assert kserve.get_server_metadata().name == "actserve"
    names = [m.name for m in kserve.get_model_repository_index().models]
    assert {"gelu", "gelu_backward", "softmax"} <= set(names)

    metadata = kserve.get_model_metadata("glu_backward", as_json=True)
    assert [i["name"] for i in metadata["inputs"]] == ["x", "gate", "dy"]
    assert metadata["inputs"][0]["shape"] == ["-1"]
    assert metadata["outputs"][0]["datatype"] == "FP32"
    config = kserve.get_model_config("gelu", as_json=True)["config"]
    assert config["input"][0]["data_type"] == "TYPE_FP32"
    assert config.get("max_batch_size", 0) == 0


@pytest.mark.parametrize("datatype", DTYPES)
def test_values_are_those_of_the_native_client(kserve, native, datatype):
    x, dy = X.astype(DTYPES[datatype]), DY.astype(DTYPES[datatype])

    result = kserve.infer("gelu", [tensor("x", x)], request_id="r1")

    assert result.get_response().id == "r1"
    assert result.get_output("y").datatype == datatype
    y = result.as_numpy("y")
    assert y.dtype == x.dtype
    expected = native.forward("gelu", x)
    np.testing.assert_array_equal(bits(y), bits(expected))
    result = kserve.infer("gelu_backward", [tensor("dy", dy), tensor("x", x)])
    np.testing.assert_array_equal(
        bits(result.as_numpy("dx")),
        bits(native.backward("gelu", x, grad_output=dy)["x"]),
    )


def test_parameters_rows_and_outputs(kserve, native):
    x = X.astype(np.float32)

    y = kserve.infer(
        "leaky_relu", [tensor("x", x)], parameters={"negative_slope": 0.125}
    ).as_numpy("y")
    np.testing.assert_array_equal(
        y, native.forward("leaky_relu", x, parameters={"negative_slope": 0.125})
    )
    y = kserve.infer(
        "leaky_relu", [tensor("x", x)], parameters={"negative_slope": 2}
    ).as_numpy("y")
    np.testing.assert_array_equal(
        y, native.forward("leaky_relu", x, parameters={"negative_slope": 2})
    )

    y = kserve.infer("softmax", [tensor("x", x)], parameters={"axis": -1})
    np.testing.assert_array_equal(
        y.as_numpy("y"), native.forward("softmax", x, axis=-1)
    )

    wanted_of = ["negative_slope", "x"]
    wanted = ["dnegative_slope", "dx"]
    result = kserve.infer(
        "leaky_relu_backward",
        [tensor("x", x), tensor("dy", DY.astype(np.float32))],
        outputs=[triton.InferRequestedOutput(name) for name in wanted],
    )
    assert [o.name for o in result.get_response().outputs] == wanted
    gradients = native.backward(
        "leaky_relu", x, grad_output=DY.astype(np.float32), wrt=wanted_of
    )
    assert result.as_numpy("dnegative_slope") == gradients["negative_slope"]
    np.testing.assert_array_equal(result.as_numpy("dx"), gradients["x"])


def test_a_text_is_a_model(kserve, native):
    cube = register(native, "def cube(x, a=2):\n    return a * x * x * x\n")
    x = X.astype(np.float32)

    y = kserve.infer(cube, [tensor("x", x)]).as_numpy("y")
    dx = kserve.infer(f"{cube}_backward", [tensor("x", x)]).as_numpy("dx")

    np.testing.assert_array_equal(y, native.forward(cube, x))
    np.testing.assert_array_equal(dx, native.backward(cube, x)["x"])
    metadata = kserve.get_model_metadata(cube)
    assert [i.name for i in metadata.inputs] == ["x"]


@pytest.mark.parametrize(
    ("model", "arguments", "status", "message"),
    [
        (
            "nope",
            {},
            "StatusCode.NOT_FOUND",
            "Request for unknown model: 'nope' is not found",
        ),
        (
            "gelu",
            {"model_version": "3"},
            "StatusCode.NOT_FOUND",
            "Request for unknown model: 'gelu' version '3' is not found",
        ),
        ("softmax", {}, "StatusCode.INVALID_ARGUMENT", "axis: not set"),
        (
            "leaky_relu",
            {"parameters": {"negative_slope": "1"}},
            "StatusCode.INVALID_ARGUMENT",
            "'negative_slope' is a string, must be a number",
        ),
        (
            "gelu",
            {"sequence_id": 3},
            "StatusCode.INVALID_ARGUMENT",
            "keep nothing from one request to the next",
        ),
        (
            "gelu",
            {"outputs": [triton.InferRequestedOutput("z")]},
            "StatusCode.INVALID_ARGUMENT",
            "'z' is not an output of 'gelu': want y",
        ),
        (
            "gelu",
            {"outputs": [triton.InferRequestedOutput("y", class_count=2)]},
            "StatusCode.INVALID_ARGUMENT",
            "'classification' is not supported",
        ),
    ],
)
def test_errors(kserve, model, arguments, status, message):
    with pytest.raises(InferenceServerException) as error:
        kserve.infer(model, [tensor("x", X)], **arguments)

    assert error.value.status() == status
    assert message in error.value.message()


def test_priority_and_timeout_are_taken(kserve):
    kserve.infer("gelu", [tensor("x", X)], priority=2, timeout=10_000_000)


def test_timeouts(kserve, native):
    slow = register(native, heavy(1))

    with pytest.raises(InferenceServerException) as error:
        kserve.infer(slow, [tensor("x", X)], client_timeout=0.001)
    # By the client, or by the server if that is a little earlier.
    assert "deadline" in error.value.message().lower()
    assert error.value.status() == "StatusCode.DEADLINE_EXCEEDED"

    other = register(native, heavy(2))
    with pytest.raises(InferenceServerException) as error:
        kserve.infer(other, [tensor("x", X)], timeout=1000)
    assert error.value.status() == "StatusCode.DEADLINE_EXCEEDED"


def test_cancellation(kserve, native):
    slow = register(native, heavy(3))
    answers = queue.Queue()

    call = kserve.async_infer(
        slow, [tensor("x", X)], lambda result, error: answers.put(error)
    )
    call.cancel()

    error = answers.get(timeout=30)
    assert isinstance(error, InferenceServerException)
    assert error.status() == "StatusCode.CANCELLED"
    assert "Locally cancelled by application!" in error.message()


def test_calls_at_once(kserve, native):
    answers = queue.Queue()
    arrays = [np.full(1000, k, np.float32) for k in range(50)]

    for k, array in enumerate(arrays):
        kserve.async_infer(
            "square",
            [tensor("x", array)],
            lambda result, error: answers.put((result, error)),
            request_id=str(k),
        )

    for _ in arrays:
        result, error = answers.get(timeout=30)
        assert error is None
        k = int(result.get_response().id)
        assert (result.as_numpy("y") == k * k).all()


def test_streams(kserve):
    answers = queue.Queue()
    kserve.start_stream(lambda result, error: answers.put((result, error)))
    for k in range(20):
        kserve.async_stream_infer(
            "square" if k != 7 else "nope",
            [tensor("x", np.full(k + 1, k, np.float32))],
            request_id=str(k),
            enable_empty_final_response=True,
        )
    for k in range(20):
        result, error = answers.get(timeout=30)
        if k == 7:
            assert "unknown model: 'nope'" in error.message()
            continue
        assert error is None
        response = result.get_response()
        assert response.id == str(k)
        assert response.parameters["triton_final_response"].bool_param
        np.testing.assert_array_equal(
            result.as_numpy("y"), np.full(k + 1, k * k, np.float32)
        )
    kserve.stop_stream()
    assert answers.empty()


def test_a_stream_may_be_cancelled(kserve, native):
    slow = register(native, heavy(4))
    answers = queue.Queue()
    kserve.start_stream(lambda result, error: answers.put(error))
    kserve.async_stream_infer(slow, [tensor("x", X)])

    kserve.stop_stream(cancel_requests=True)

    assert answers.get(timeout=30).status() == "StatusCode.CANCELLED"
    assert kserve.is_server_ready()


def test_statistics(kserve, native):
    model = register(native, "def f(x):\n    return 7 * x\n")
    for _ in range(3):
        kserve.infer(model, [tensor("x", X)])
    with pytest.raises(InferenceServerException):
        kserve.infer(model, [tensor("z", X)])

    (statistics,) = kserve.get_inference_statistics(model).model_stats
    everything = kserve.get_inference_statistics().model_stats

    assert statistics.name == model
    assert statistics.version == "1"
    assert statistics.inference_count == 3
    assert statistics.inference_stats.success.count == 3
    assert statistics.inference_stats.queue.count == 3
    assert abs(statistics.last_inference / 1000 - time.time()) < 60
    assert model in [each.name for each in everything]


def test_many_threads(kserve_server):
    failures = []

    def work(seed):
        x = np.random.default_rng(seed).normal(size=(3, 5)).astype(np.float32)
        with triton.InferenceServerClient(kserve_server.address) as client:
            for _ in range(50):
                y = client.infer("relu", [tensor("x", x)]).as_numpy("y")
                if not (y == np.maximum(x, 0)).all():
                    failures.append(seed)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
