"""The layer on each backend of Keras, in processes of their own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from testbed import built_library, is_installed

keras = pytest.importorskip("keras")

import keras_cases

if keras.backend.backend() != "tensorflow":
    pytest.skip("the backend is another one", allow_module_level=True)

CASES = Path(__file__).parent / "keras_cases.py"


def start(backend, folder):
    return subprocess.Popen(
        [sys.executable, str(CASES), str(folder)],
        env=os.environ
        | {
            "KERAS_BACKEND": backend,
            "ACTSERVE_LIBRARY": os.environ.get(
                "ACTSERVE_LIBRARY", str(built_library())
            ),
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """What keras_cases.py finds, by backend; TensorFlow's is from here."""
    processes = {
        backend: start(backend, tmp_path_factory.mktemp(backend))
        for backend in ("torch", "jax")
        if is_installed(backend)
    }
    with pytest.MonkeyPatch.context() as patch:
        if "ACTSERVE_LIBRARY" not in os.environ:
            patch.setenv("ACTSERVE_LIBRARY", str(built_library()))
        found = {
            "tensorflow": keras_cases.report(tmp_path_factory.mktemp("here"))
        }
    for backend, process in processes.items():
        out, error = process.communicate(timeout=110)
        assert process.returncode == 0, error
        found[backend] = json.loads(out.splitlines()[-1])
    return found


def test_each_backend_trains_as_with_its_own_operations(reports):
    for backend, report in reports.items():
        assert report["backend"] == backend
        assert report["losses"][-1] < report["losses"][0]
        np.testing.assert_allclose(
            report["losses"], report["native"], rtol=1e-5
        )


def test_the_backends_agree(reports):
    first = reports["tensorflow"]
    for report in reports.values():
        np.testing.assert_allclose(report["losses"], first["losses"], rtol=1e-5)
        np.testing.assert_allclose(report["beta"], first["beta"], rtol=1e-4)
        assert min(np.abs(np.subtract(report["beta"], 1))) > 0


def test_a_saved_model_goes_on_where_it_was(reports):
    for report in reports.values():
        assert report["same after loading"]
        assert report["losses after loading"] == report["losses without"]


def test_mixed_precision_and_several_inputs(reports):
    for report in reports.values():
        assert report["dtypes"] == ["bfloat16", "float32"]
        np.testing.assert_allclose(
            report["mixed losses"], report["losses"], rtol=0.05
        )
        assert report["gated"] == [[0.5] * 3] * 2


def test_too_few_inputs_are_an_error_on_each(reports):
    for report in reports.values():
        assert "gated takes 2" in report["error"]
