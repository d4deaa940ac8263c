"""What the benchmarks that compare processes rest on."""

import os
import signal
import subprocess
import time

import pytest
import turns


def test_each_round_begins_with_another_one():
    order = []

    def block_named(name):
        def block():
            order.append(name)
            return 1.0

        return block

    times = turns.alternate({name: block_named(name) for name in "abc"}, 3)

    assert "".join(order) == "abcbcacab"
    assert times == {name: [1.0, 1.0, 1.0] for name in "abc"}


def test_a_ratio_is_of_the_same_round():
    # The machine is ten times as slow in the second round.
    median, text = turns.ratio([2.0, 20.0, 2.0], [1.0, 10.0, 1.0])

    assert median == 2.0
    assert text == "2.00 (2.00-2.00)"


def test_a_block_returns_the_seconds_of_one_call():
    calls = []
    block = turns.block_of(
        lambda: (calls.append(None), time.sleep(0.002)), block_seconds=0.02
    )
    calls.clear()

    seconds = block()

    assert 1 <= len(calls) <= 10
    assert seconds >= 0.002


def pid_and_sum():
    """Made in the other process."""
    return lambda *numbers: lambda: (os.getpid(), sum(numbers))


def pid_of_sleeper():
    """Made in the other process; what it starts has a session of its own."""
    sleeper = subprocess.Popen(["sleep", "60"], start_new_session=True)
    return lambda: lambda: sleeper.pid


def no_start():
    """Made in the other process."""
    raise ValueError("no start")


@pytest.fixture
def player():
    process = turns.Player(turns.Process(pid_and_sum))
    yield process
    process.kill()


def wait_for_state(pid, wanted):
    """Waits for a letter of proc(5); one that is gone is in state Z."""
    deadline = time.monotonic() + 10
    while True:
        try:
            with open(f"/proc/{pid}/stat") as file:
                state = file.read().rpartition(")")[2].split()[0]
        except OSError:
            state = "Z"
        if state == wanted:
            return
        assert time.monotonic() < deadline, state
        time.sleep(0.001)


def test_a_player_stands_still_between_its_turns(player):
    pid, found = player.prepare(3, 4, block_seconds=0.001)

    assert found == 7
    assert pid != os.getpid()
    wait_for_state(pid, "T")
    assert player.block() > 0


def test_what_a_player_started_stands_still_and_ends_with_it():
    player = turns.Player(turns.Process(pid_of_sleeper))
    try:
        pid = player.prepare(block_seconds=0.001)

        wait_for_state(pid, "T")
    finally:
        player.kill()
    wait_for_state(pid, "Z")


def test_an_error_of_the_other_process_is_told():
    process = turns.Process(no_start)
    try:
        with pytest.raises(RuntimeError, match="ValueError: no start"):
            process.prepare()
    finally:
        process.kill()


def test_a_process_that_ended_is_told():
    process = turns.Process(pid_and_sum)
    try:
        process.prepare(1, block_seconds=0.001)
        process.signal(signal.SIGKILL)

        with pytest.raises(RuntimeError, match="the process ended"):
            process.block()
    finally:
        process.kill()
