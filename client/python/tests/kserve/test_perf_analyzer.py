"""NVIDIA's load tool, where scripts/perf_analyzer has installed it."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from testbed import ROOT

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
CACHE = Path(os.environ.get("ACTSERVE_CACHE", CACHE / "actserve"))
COUNT = 200

pytestmark = pytest.mark.skipif(
    not any(CACHE.glob("perf_analyzer/*/bin/perf_analyzer")),
    reason="perf_analyzer is not installed; scripts/perf_analyzer fetches it",
)


def perf_analyzer(server, model, *arguments):
    """Runs it for COUNT requests."""
    return subprocess.run(
        [
            ROOT / "scripts/perf_analyzer",
            *("-m", model, "-i", "grpc", "-u", server.address),
            *("--request-count", str(COUNT), *arguments),
        ],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def counted(client, model):
    """Returns how many requests the server has answered, and refused."""
    (stats,) = client.get_inference_statistics(model).model_stats
    return stats.inference_stats.success.count, stats.inference_stats.fail.count


SHARED = ("--shared-memory", "system", "--output-shared-memory-size", "4096")


@pytest.mark.parametrize(
    ("model", "arguments"),
    [
        ("gelu", ("--shape", "x:1024", "--concurrency-range", "4", "-a")),
        ("gelu", ("--shape", "x:1024", *SHARED)),
        (
            "leaky_relu_backward",
            ("--shape", "x:64", "--shape", "dy:64", "-a", "--streaming"),
        ),
        (
            "softmax",
            ("--shape", "x:8,128", "--request-parameter", "axis:-1:int"),
        ),
    ],
)
def test_counts_what_the_server_counts(kserve, kserve_server, model, arguments):
    before, _ = counted(kserve, model)

    done = perf_analyzer(kserve_server, model, *arguments)

    assert done.returncode == 0, done.stdout + done.stderr
    (client_count,) = re.findall(r"Request count: (\d+)", done.stdout)
    assert int(client_count) == COUNT
    after, failures = counted(kserve, model)
    # A few more than it reports: it tries a request first.
    assert COUNT <= after - before <= COUNT + 10
    assert failures == 0
    assert "shared memory" not in done.stdout + done.stderr


def test_stops_at_an_error(kserve, kserve_server):
    done = perf_analyzer(kserve_server, "softmax", "--shape", "x:8,128")

    assert done.returncode != 0
    assert "axis: not set, but softmax reads rows" in done.stdout + done.stderr
