"""Names of hosts, looked up again and again."""

import re
import threading

import pytest

from actserve._resolver import LookUpSchedule, Resolver, look_up_by_system

PATIENCE_SECONDS = 60


@pytest.fixture
def schedule():
    """A schedule that has begun at 0 and ended well."""
    result = LookUpSchedule()
    assert result.is_due(0)
    result.begin(0)
    assert not result.is_due(1e6)  # it runs
    result.end(True)
    return result


def test_a_lookup_is_repeated_every_30_seconds(schedule):
    assert not schedule.is_due(29)
    assert schedule.is_due(30)


def test_a_failure_of_a_replica_shortens_it_to_one_second(schedule):
    schedule.fail()

    assert not schedule.is_due(0.999)
    assert schedule.is_due(1)

    schedule.begin(1)
    schedule.end(True)
    assert not schedule.is_due(3)


def test_so_does_a_failure_of_a_lookup(schedule):
    schedule.begin(30)
    schedule.end(False)

    assert not schedule.is_due(30.999)
    assert schedule.is_due(31)


class FakeNames:
    """Names whose addresses a test sets; an exception is raised."""

    def __init__(self, answer):
        self.answer = answer
        self.asked = []

    def __call__(self, name):
        self.asked.append(name)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_nothing_is_known_before_the_first_answer():
    names = FakeNames(OSError(-2, "no such name"))
    resolver = Resolver([("host", "1")], names)

    assert resolver.current(100) == (None,)
    resolver.wait(PATIENCE_SECONDS)

    assert resolver.current(100) == (None,)
    assert resolver.problem() == "name 'host' is not resolved: no such name"
    assert names.asked == [("host", "1")]


@pytest.mark.parametrize("failure", [OSError("no such name"), UnicodeError("")])
def test_the_old_answer_is_kept_where_a_lookup_fails(failure):
    names = FakeNames(["ipv4:1.2.3.4:1"])
    resolver = Resolver([("host", "1")], names)
    resolver.current(100)
    resolver.wait(PATIENCE_SECONDS)
    names.answer = failure
    resolver.fail()

    resolver.current(101)
    resolver.wait(PATIENCE_SECONDS)

    assert len(names.asked) == 2
    assert resolver.current(101) == (("ipv4:1.2.3.4:1",),)
    assert resolver.problem() is None


def test_a_new_answer_is_taken():
    names = FakeNames(["ipv4:1.2.3.4:1"])
    resolver = Resolver([("host", "1")], names)
    resolver.current(100)
    resolver.wait(PATIENCE_SECONDS)
    names.answer = ["ipv4:1.2.3.5:1", "ipv4:1.2.3.4:1"]

    resolver.current(130)
    resolver.wait(PATIENCE_SECONDS)

    assert resolver.current(130) == (("ipv4:1.2.3.5:1", "ipv4:1.2.3.4:1"),)


def test_nobody_waits_for_a_lookup():
    leave = threading.Event()
    resolver = Resolver([("host", "1")], lambda _: [leave.wait()])

    assert resolver.current(100) == (None,)
    resolver.wait(0.001)
    assert resolver.current(100) == (None,)
    leave.set()


def test_the_system_gives_targets_of_grpc():
    assert look_up_by_system(("127.0.0.1", "80")) == ["ipv4:127.0.0.1:80"]
    assert look_up_by_system(("::1", "80")) == ["ipv6:[::1]:80"]
    assert "ipv4:127.0.0.1:80" in look_up_by_system(("localhost", "80"))


def test_an_unknown_name_is_told():
    # RFC 6761: no such name ever exists.
    resolver = Resolver([("host.invalid", "80")])
    resolver.current(100)
    resolver.wait(PATIENCE_SECONDS)

    assert re.match(
        "name 'host.invalid' is not resolved: .*", resolver.problem()
    )
