"""A GPU for tests: the fake driver of kernels/device/cuda/testing.

Its memory is memory of this process, which a server in another process opens by
the driver's interface for that.
"""

import contextlib
import ctypes
import os

import numpy as np
import pytest
from testbed import build_folder, server_binary

from actserve.testing import ServerProcess

DRIVER = "tests/libactserve_fake_cuda.so"
# FakeKnob::kNumCopies
_NUM_COPIES = 21
# The stream of an array that names none.
UNNAMED = object()


class Gpu:
    """The first GPU. Frees what it allocated when it is closed."""

    def __init__(self, path):
        self.driver = ctypes.CDLL(str(path))
        # The allocations, and what they have.
        self.sizes = {}
        context = ctypes.c_void_p()
        self.call("cuDevicePrimaryCtxRetain", ctypes.byref(context), 0)
        self.call("cuCtxSetCurrent", context)

    def call(self, name, *args):
        result = getattr(self.driver, name)(*args)
        assert result == 0, f"{name}: {result}"

    def num_copies(self):
        """Returns how often this process copied to the GPU or from it."""
        return self.driver.fake_cuda_get(_NUM_COPIES)

    def allocate(self, size):
        """Returns the address of an allocation."""
        address = ctypes.c_uint64()
        self.call("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(size))
        self.sizes[address.value] = size
        return address.value

    def free(self, address):
        self.call("cuMemFree_v2", ctypes.c_uint64(address))
        del self.sizes[address]

    def stream(self):
        stream = ctypes.c_void_p()
        self.call("cuStreamCreate", ctypes.byref(stream), 1)
        return stream.value

    def write_later(self, stream, array, values):
        """Lets a stream write to an array; returns what must live so long."""
        values = np.ascontiguousarray(values)
        self.call(
            "cuMemcpyHtoDAsync_v2",
            ctypes.c_uint64(array.pointer),
            ctypes.c_void_p(values.ctypes.data),
            ctypes.c_size_t(values.nbytes),
            ctypes.c_void_p(stream),
        )
        return values

    @contextlib.contextmanager
    def hanging(self, stream):
        """What a stream has to do is done when this ends."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("FAKE_CUDA", "hang_at_alloc=1")
            self.driver.fake_cuda_reset()
        try:
            self.call(
                "cuMemAllocAsync",
                ctypes.byref(ctypes.c_uint64()),
                ctypes.c_size_t(256),
                ctypes.c_void_p(stream),
            )
            yield
        finally:
            self.driver.fake_cuda_reset()

    def array(self, values, **options):
        """Returns a copy of `values` on the GPU."""
        values = np.asarray(values)
        array = GpuArray(
            self.allocate(max(values.nbytes, 16)),
            values.shape,
            values.dtype,
            **options,
        )
        array.host()[...] = values
        return array

    def empty_like(self, values, **options):
        values = np.asarray(values)
        return self.array(np.full(values.shape, 7, values.dtype), **options)

    def close(self):
        for address in list(self.sizes):
            self.free(address)


class GpuArray:
    """What a framework has: nothing but `__cuda_array_interface__`."""

    def __init__(
        self,
        pointer,
        shape,
        dtype,
        stream=UNNAMED,
        strides=None,
        read_only=False,
        version=3,
    ):
        self.pointer = pointer
        self.shape = tuple(shape)
        self.dtype = np.dtype(dtype)
        self.interface = {
            "data": (pointer, read_only),
            "shape": self.shape,
            "typestr": self.dtype.str,
            "strides": strides,
            "version": version,
        }
        if stream is not UNNAMED:
            self.interface["stream"] = stream

    @property
    def __cuda_array_interface__(self):
        return self.interface

    def host(self):
        """Returns its elements; only a fake GPU lets one look at them."""
        size = int(np.prod(self.shape)) * self.dtype.itemsize
        memory = (ctypes.c_ubyte * size).from_address(self.pointer)
        return np.frombuffer(memory, self.dtype).reshape(self.shape)

    def at(self, index):
        """Returns a part of the first axis."""
        part = self.host()[index]
        return GpuArray(part.ctypes.data, part.shape, self.dtype)


def use_driver(monkeypatch):
    """Makes this process and its servers use the fake driver."""
    path = build_folder() / DRIVER
    if not path.exists():
        pytest.skip(f"{path} is missing: build actserve_fake_cuda")
    for name in ("ACTSERVE_CUDA_DRIVER", "ACTSERVE_NVRTC"):
        monkeypatch.setenv(name, os.fspath(path))
    return path


def start_server(*flags):
    """Returns a server that computes on the fake GPU."""
    return ServerProcess(
        server_binary(), "--pack=none", "--device=cuda:0", *flags
    )
