"""The rule of client/README.md, without a server."""

import grpc
import pytest

from actserve._retry import pause_before_retry

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("code", grpc.StatusCode)
def test_only_what_can_help_is_repeated(code):
    repeated = pause_before_retry(code, None, 1, 0) is not None
    told = pause_before_retry(code, 0.003, 1, 0) is not None

    assert repeated == (code is UNAVAILABLE)
    assert told == (code in (UNAVAILABLE, EXHAUSTED))


def test_the_pause_is_the_servers_if_it_names_one():
    assert pause_before_retry(UNAVAILABLE, 0.003, 6, 1) == 0.003
    assert pause_before_retry(EXHAUSTED, 0.0, 6, 1) == 0.0


def test_the_pause_doubles_up_to_a_maximum():
    pauses = [pause_before_retry(UNAVAILABLE, None, n, 0) for n in range(1, 8)]

    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]
    assert pause_before_retry(UNAVAILABLE, None, 10**6, 0) == 2.0


@pytest.mark.parametrize(("chance", "want"), [(-1, 0.15), (1, 0.25)])
def test_chance_moves_the_pause_by_a_quarter(chance, want):
    pause = pause_before_retry(UNAVAILABLE, None, 2, chance)

    assert pause == pytest.approx(want)
