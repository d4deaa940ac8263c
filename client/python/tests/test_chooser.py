"""The choice of a replica, by the table that the C++ client's test runs too."""

import json

import pytest
from testbed import ROOT

from actserve._chooser import Outcome, Standing, choose

TABLE = json.loads((ROOT / "client/testdata/choices.json").read_text())


@pytest.mark.parametrize("scenario", TABLE, ids=lambda row: row["name"])
def test_follows_the_table(scenario):
    standings = [Standing() for _ in range(scenario["replicas"])]
    begun = {}
    turn = scenario.get("turn", 0)
    now = 0.0
    for step in scenario["steps"]:
        now = step.get("at", now)
        if "end" in step:
            replica, attempt = begun[step["end"]]
            standings[replica].end(
                attempt, Outcome(step["as"]), now, step.get("pushback", 0.0)
            )
            continue
        replica = step.get("prefer")
        if replica is None:
            tried = step.get("tried", [])
            candidates = [
                None if i in tried else standing
                for i, standing in enumerate(standings)
            ]
            replica = choose(candidates, now, turn)
            if replica is not None:
                turn = replica + 1
        assert (-1 if replica is None else replica) == step["on"], step
        if replica is not None:
            begun[step["begin"]] = replica, standings[replica].begin(now)
