"""Tests of actserve.jax: in float64, and each of both ways in this process."""

import os

import pytest

jax = pytest.importorskip("jax")


def need_handler():
    """Skips without the handler of XLA; fails where JAX must be tested."""
    from actserve.jax import _native

    if not _native.is_here():
        missing = "the handler of client/python/native/jax_ffi.cc is missing"
        if "jax" in os.environ.get("ACTSERVE_REQUIRED_FRAMEWORKS", ""):
            pytest.fail(missing)
        pytest.skip(missing)


@pytest.fixture
def handler():
    """The handler is here."""
    need_handler()


@pytest.fixture
def float64():
    """JAX has float64 for this test."""
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


@pytest.fixture(scope="session", params=["callback", "native"])
def way(request):
    """How the library here is called; a session compiles for one at a time."""
    from actserve.jax import _native, _primitive

    if request.param == "native":
        need_handler()
    before = _native.enabled
    _native.enabled = request.param == "native"
    jax.clear_caches()
    _primitive._compiled.cache_clear()
    yield request.param
    _native.enabled = before
    jax.clear_caches()
    _primitive._compiled.cache_clear()
