"""That a framework which must be tested is not left out."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from testbed import FRAMEWORKS, is_installed


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_required_framework_that_is_missing_is_an_error(framework):
    if is_installed(framework):
        pytest.skip(f"{framework} is installed")
    folder = Path(__file__).parent / framework

    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", str(folder)],
        env=os.environ | {"ACTSERVE_REQUIRED_FRAMEWORKS": framework},
        cwd=folder.parents[1],
        capture_output=True,
        text=True,
    )

    assert run.returncode == 1, run.stdout
    assert f"required and not installed: {framework}" in run.stdout


def test_a_test_that_cannot_import_is_an_error_where_all_is_required(tmp_path):
    for name in ("conftest.py", "proxy.py", "testbed.py"):
        shutil.copy(Path(__file__).with_name(name), tmp_path)
    tmp_path.joinpath("test_it.py").write_text(
        "import pytest\npytest.importorskip('no_such_package')\n"
    )

    def run(required):
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "test_it.py"],
            env=os.environ | {"ACTSERVE_REQUIRED_FRAMEWORKS": required},
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )

    strict = run("torch")
    assert strict.returncode == 1
    assert "required and left out: test_it.py" in strict.stdout
    assert run("").returncode == 5  # no tests


def test_what_is_not_installed_is_named():
    missing = [name for name in FRAMEWORKS if not is_installed(name)]
    if not missing:
        pytest.skip("all are installed")
    here = Path(__file__).parent

    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", str(here / "test_trace.py")],
        cwd=here.parent,
        capture_output=True,
        text=True,
    )

    wanted = f"not tested, as not installed: {', '.join(missing)}"
    assert wanted in run.stdout, run.stdout
