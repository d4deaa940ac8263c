"""POSIX shared memory as tritonclient makes and registers it."""

import os

import numpy as np
import pytest
import tritonclient.grpc as triton
import tritonclient.utils.shared_memory as shm
from testbed import server_binary
from tritonclient.utils import InferenceServerException

from actserve.testing import ServerProcess

X = np.linspace(-3, 3, 64, dtype=np.float32)


KEY = f"/kserve-test-{os.getpid()}"


@pytest.fixture
def region(kserve):
    """Room for X and a result, registered as `both`."""
    handle = shm.create_shared_memory_region("both", KEY, 2 * X.nbytes)
    shm.set_shared_memory_region(handle, [X])
    kserve.register_system_shared_memory("both", KEY, 2 * X.nbytes)
    yield handle
    kserve.unregister_system_shared_memory("both")
    shm.destroy_shared_memory_region(handle)


def shared_input(size_bytes=X.nbytes, offset=0, name="both"):
    result = triton.InferInput("x", [len(X)], "FP32")
    result.set_shared_memory(name, size_bytes, offset)
    return result


def shared_output(size_bytes=X.nbytes, offset=X.nbytes):
    result = triton.InferRequestedOutput("y")
    result.set_shared_memory("both", size_bytes, offset)
    return result


def test_tensors_lie_in_shared_memory(kserve, native, region):
    result = kserve.infer("gelu", [shared_input()], outputs=[shared_output()])

    output = result.get_output("y")
    assert list(output.shape) == [len(X)]
    assert list(result.get_response().raw_output_contents) == [b""]
    y = shm.get_contents_as_numpy(region, np.float32, [len(X)], X.nbytes)
    np.testing.assert_array_equal(y, native.forward("gelu", X))


def test_beside_tensors_that_do_not(kserve, native, region):
    dy = triton.InferInput("dy", [len(X)], "FP32")
    dy.set_data_from_numpy(X[::-1].copy())

    result = kserve.infer("gelu_backward", [shared_input(), dy])

    np.testing.assert_array_equal(
        result.as_numpy("dx"),
        native.backward("gelu", X, grad_output=X[::-1].copy())["x"],
    )


def test_status(kserve, region):
    regions = kserve.get_system_shared_memory_status().regions

    assert regions["both"].byte_size == 2 * X.nbytes
    assert regions["both"].offset == 0
    with pytest.raises(InferenceServerException, match="Unable to find"):
        kserve.get_system_shared_memory_status("other")


@pytest.mark.parametrize(
    ("request_input", "message"),
    [
        (shared_input(name="other"), "Unable to find shared memory region"),
        (shared_input(offset=X.nbytes + 4), "256 bytes at 260 of region"),
        (shared_input(size_bytes=8), "8 bytes"),
    ],
)
def test_wrong_inputs(kserve, region, request_input, message):
    with pytest.raises(InferenceServerException, match=message) as error:
        kserve.infer("gelu", [request_input])
    assert error.value.status() == "StatusCode.INVALID_ARGUMENT"


def test_a_result_needs_room(kserve, region):
    with pytest.raises(InferenceServerException, match="at least 256 bytes"):
        kserve.infer(
            "gelu", [shared_input()], outputs=[shared_output(size_bytes=128)]
        )


@pytest.mark.parametrize(
    "key", ["/etc/passwd", "../secret", "sem.x", "/actserve_x", "no-such-key"]
)
def test_no_key_is_shown(kserve, key):
    with pytest.raises(InferenceServerException) as error:
        kserve.register_system_shared_memory("r", key, 8)
    assert error.value.status() == "StatusCode.INVALID_ARGUMENT"
    assert key not in error.value.message()


def test_a_name_is_given_once(kserve, region):
    with pytest.raises(InferenceServerException, match="already in manager"):
        kserve.register_system_shared_memory("both", KEY, 8)


def test_it_is_off_unless_asked():
    with (
        ServerProcess(server_binary(), "--kserve") as process,
        triton.InferenceServerClient(process.address) as client,
    ):
        with pytest.raises(InferenceServerException) as error:
            client.register_system_shared_memory("r", "k", 8)
        assert error.value.status() == "StatusCode.UNIMPLEMENTED"
        with pytest.raises(InferenceServerException, match="not served here"):
            client.infer("gelu", [shared_input()])
