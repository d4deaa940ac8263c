"""Facts that C++ and Python each have to hold are the same in both."""

import math
import re

from testbed import ROOT

from actserve import (
    _chooser,
    _errors,
    _replicas,
    _resolver,
    _retry,
    _wire,
)
from actserve._source import language
from actserve.v1 import service_pb2


def table(path, name):
    """Returns the text of the array `name` in a C++ file."""
    text = (ROOT / path).read_text()
    return re.search(rf"\b{name}\[\] = {{(.*?)\n}};", text, re.DOTALL)[1]


def constants(path):
    """Returns the `constexpr` numbers of a C++ header by name."""
    pattern = r"constexpr [\w:]+ (k\w+) =\s+([^;]+);"
    return dict(re.findall(pattern, (ROOT / path).read_text()))


def test_retries_follow_the_same_numbers():
    assert constants("client/cpp/retry.h") == {
        "kMaxAttempts": str(_retry.MAX_ATTEMPTS),
        "kFirstBackoff": milliseconds(_retry.FIRST_BACKOFF_SECONDS),
        "kMaxBackoff": milliseconds(_retry.MAX_BACKOFF_SECONDS),
        "kBackoffJitter": str(_retry.BACKOFF_JITTER),
    }


def test_replicas_are_set_aside_by_the_same_numbers():
    assert constants("client/cpp/balance/chooser.h") == {
        "kFirstSetAside": milliseconds(_chooser.FIRST_SET_ASIDE_SECONDS),
        "kMaxSetAside": seconds(_chooser.MAX_SET_ASIDE_SECONDS),
        "kMaxFullSetAside": seconds(_chooser.MAX_FULL_SET_ASIDE_SECONDS),
    }


def test_names_are_looked_up_by_the_same_numbers():
    assert constants("client/cpp/balance/resolver.h") == {
        "kPeriod": seconds(_resolver.PERIOD_SECONDS),
        "kPeriodAfterFailure": seconds(_resolver.PERIOD_AFTER_FAILURE_SECONDS),
    }


def test_the_session_has_the_same_key():
    text = (ROOT / "client/cpp/raw_stub.h").read_text()

    assert f'kSessionKey[] = "{_replicas.SESSION_KEY}";' in text


def test_trailers_have_the_same_names():
    text = (ROOT / "proto/error_trailers.h").read_text()

    assert dict(re.findall(r'(k\w+)\[\] = "([^"]+)";', text)) == {
        "kAnsweredTrailer": _errors._ANSWERED_KEY,
        "kPushbackTrailer": _errors._PUSHBACK_KEY,
    }


def milliseconds(seconds):
    """Returns a duration as C++ spells it."""
    return f"absl::Milliseconds({round(seconds * 1000)})"


def seconds(number):
    """Returns a duration as C++ spells it."""
    return f"absl::Seconds({round(number)})"


def test_modules_are_those_of_the_language():
    path = "kernels/lang/desugar/synonyms.cc"
    text = (ROOT / path).read_text()
    tables = re.search(r"new std::vector<Table>{(.*?)\n  };", text, re.DOTALL)
    modules = re.findall(r'^ {6}\{"([\w.]+)",', tables[1], re.MULTILINE)
    modules += re.findall(r'\{"([\w.]+)",', table(path, "kModuleAliases"))

    assert list(language.KNOWN_MODULES) == modules


def test_names_without_an_import_are_those_of_the_language():
    path = "kernels/lang/desugar/synonyms.cc"
    aliases = dict(
        re.findall(r'\{"(\w+)", "([\w.]+)"\}', table(path, "kAliases"))
    )

    assert aliases
    for name, packages in language.KNOWN_ALIASES.items():
        assert aliases[name].partition(".")[0] in packages


def test_numbers_are_those_of_the_language():
    names = re.findall(
        r'\{"(\w+)",', table("kernels/lang/vocabulary.cc", "kConstants")
    )

    assert sorted(language.LANGUAGE_NUMBERS) == names
    for name in names:
        known, want = language.LANGUAGE_NUMBERS[name], getattr(math, name)
        assert known == want or (math.isnan(known) and math.isnan(want))


def test_payloads_have_the_same_field_in_every_message():
    for name in (
        "ForwardRequest",
        "ForwardResponse",
        "BackwardRequest",
        "BackwardResponse",
    ):
        message = service_pb2.DESCRIPTOR.message_types_by_name[name]
        payload = message.fields_by_name["payload"]
        assert payload.number == _wire.PAYLOAD_FIELD
