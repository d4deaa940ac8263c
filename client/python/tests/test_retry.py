"""The rule of client/README.md, without a server."""

import json

import grpc
import pytest
from testbed import ROOT

from actserve._chooser import Outcome
from actserve._retry import FailedAttempt, outcome_of, pause_before_retry

# The table is that of the C++ client too.
TABLE = json.loads((ROOT / "client/testdata/retries.json").read_text())
UNAVAILABLE = FailedAttempt(grpc.StatusCode.UNAVAILABLE)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row["code"])
def test_only_what_can_help_is_repeated(row):
    pushback = row.get("pushback_ms")
    failed = FailedAttempt(
        grpc.StatusCode[row["code"]],
        row.get("message", ""),
        row.get("answered", False),
        None if pushback is None else pushback / 1000,
    )

    repeated = pause_before_retry(failed, 1, 0) is not None

    assert repeated == row["repeated"]
    assert outcome_of(failed) is Outcome(
        row.get("outcome", "lost" if repeated else "answered")
    )


def test_the_table_has_every_error():
    errors = {code.name for code in grpc.StatusCode} - {"OK"}

    assert {row["code"] for row in TABLE} == errors


def test_the_pause_is_the_servers_if_it_names_one():
    unavailable = FailedAttempt(grpc.StatusCode.UNAVAILABLE, pushback=0.003)
    full = FailedAttempt(grpc.StatusCode.RESOURCE_EXHAUSTED, pushback=0.0)

    assert pause_before_retry(unavailable, 6, 1) == 0.003
    assert pause_before_retry(full, 6, 1) == 0.0


def test_the_pause_doubles_up_to_a_maximum():
    pauses = [pause_before_retry(UNAVAILABLE, n, 0) for n in range(1, 8)]

    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]
    assert pause_before_retry(UNAVAILABLE, 10**6, 0) == 2.0


@pytest.mark.parametrize(("chance", "want"), [(-1, 0.15), (1, 0.25)])
def test_chance_moves_the_pause_by_a_quarter(chance, want):
    pause = pause_before_retry(UNAVAILABLE, 2, chance)

    assert pause == pytest.approx(want)
