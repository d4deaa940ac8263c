"""Every query of the dashboard has a result, over a stack under load."""

import math
import pathlib
import re
import shutil

import loaded_stack
import pytest

RULES = pathlib.Path(__file__).parents[1] / "prometheus" / "rules.yml"
TARGETS = [
    pytest.param(target, id=f"{panel['title']}-{target['refId']}")
    for panel in loaded_stack.panels()
    for target in panel["targets"]
]


@pytest.fixture(scope="module")
def prometheus():
    if shutil.which("prometheus") is None:
        pytest.skip("prometheus is not installed; scripts/setup fetches it")
    with loaded_stack.loaded_stack() as running:
        yield running


@pytest.mark.parametrize("target", TARGETS)
def test_query_has_a_result(prometheus, target):
    series = prometheus.query(loaded_stack.expression(target))
    assert series, "the result is empty"
    values = [float(each["value"][1]) for each in series]
    assert any(map(math.isfinite, values)), values
    # The legend names labels that the series have.
    for label in re.findall(r"{{(\w+)}}", target["legendFormat"]):
        assert all(each["metric"].get(label) for each in series)


@pytest.mark.parametrize(
    "title", ["Calls", "Calls that fail", "Refusals", "Residuals lost"]
)
def test_load_is_seen(prometheus, title):
    """The stack does what the picture is to show."""
    (panel,) = [p for p in loaded_stack.panels() if p["title"] == title]
    series = prometheus.query(loaded_stack.expression(panel["targets"][0]))
    assert max(float(each["value"][1]) for each in series) > 0


def test_rules_are_evaluated(prometheus):
    (group,) = prometheus.get("rules")["groups"]
    written = RULES.read_text().count("- alert:")
    assert len(group["rules"]) == written > 0
    for rule in group["rules"]:
        assert rule["health"] == "ok", rule


def test_panels_do_not_overlap():
    cells = [
        (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
        for panel in loaded_stack.panels()
        for x in range(panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
