"""The alert rules and the configuration, by promtool."""

import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "rules", "rules.yml"],
        ["test", "rules", "rules_test.yml"],
        ["check", "config", "prometheus.yml"],
    ],
    ids=" ".join,
)
def test_promtool_agrees(arguments):
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed; scripts/setup fetches it")
    run = subprocess.run(
        ["promtool", *arguments],
        check=False,
        cwd=FOLDER,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert run.returncode == 0, run.stdout


def test_every_alert_has_a_test_and_a_line_in_the_documents():
    rules = (FOLDER / "rules.yml").read_text().splitlines()
    alerts = [line.split()[-1] for line in rules if "- alert:" in line]
    tests = (FOLDER / "rules_test.yml").read_text()
    page = (FOLDER.parents[1] / "docs/metrics.md").read_text()
    assert len(alerts) == 12
    for alert in alerts:
        assert f"alertname: {alert}\n        exp_alerts:\n" in tests, alert
        assert f"| `{alert}` |" in page, alert
