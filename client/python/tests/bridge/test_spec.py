"""What a layer evaluates, as a value."""

import dataclasses
import gc
import pickle
import subprocess
import sys

import pytest
from bridge_cases import SWISH

import actserve
from actserve._bridge import Spec, clients, evaluator


def full():
    return Spec.make(
        actserve.activation(SWISH + " + c", constants={"c": 2.5}),
        "127.0.0.1:1",
        parameters=[("beta", 1)],
        axis=-1,
        element_offset=7,
        gradient="residual",
        fallback="local",
        wire_dtype="bfloat16",
        timeout=3,
    )


def test_its_text_says_everything():
    spec = full()

    again = Spec.of_text(spec.text())

    assert dataclasses.asdict(again) == dataclasses.asdict(spec)
    assert again == spec
    assert hash(again) == hash(spec)
    assert evaluator(spec.text()) is evaluator(again)


def test_specs_that_differ_are_not_equal():
    assert full() != dataclasses.replace(full(), axis=0)
    assert full() != Spec.make("gelu", "127.0.0.1:1")


def test_it_pickles():
    assert pickle.loads(pickle.dumps(full())) == full()


def test_a_function_and_its_text_become_an_activation():
    assert Spec.make("gelu", "local").activation == "gelu"
    assert Spec.make("sha256:12", "local").activation == "sha256:12"
    assert Spec.make(SWISH, "local").activation.name == "swish"

    def twice(x):
        return 2 * x

    assert Spec.make(twice, "local").activation.name == "twice"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"gradient": "best"}, ValueError, "gradient is 'best', not one of"),
        ({"fallback": "cpu"}, ValueError, "fallback is 'cpu', not one of"),
        ({"wire_dtype": "int8"}, ValueError, "wire_dtype is 'int8', not one"),
        ({"client": 3}, TypeError, "client is of type int"),
        ({"client": "host:port"}, ValueError, "host:port"),
        ({"axis": 1.5}, TypeError, "axis"),
        ({"constants": {"beta": "x"}}, TypeError, r"parameters\['beta'\]"),
        (
            {"constants": {"beta": 1}, "parameters": [("beta", None)]},
            ValueError,
            "beta is both a tensor and a number",
        ),
        ({"timeout": "soon"}, TypeError, "timeout"),
    ],
)
def test_bad_values_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        Spec.make(SWISH, **arguments)


def test_a_client_of_the_user_is_used_and_travels():
    client = actserve.connect("local", timeout=12.5)
    spec = Spec.make("gelu", client)

    assert clients.client_for(spec.client) is client
    assert Spec.make("gelu", client) == spec
    assert Spec.make("gelu", spec.client) == spec
    travelled = pickle.loads(pickle.dumps(spec))
    other = clients.client_for(travelled.client)
    assert (other.address, other._timeout) == ("local", 12.5)


def test_a_client_of_the_user_travels_to_another_process():
    client = actserve.connect("local", timeout=12.5)
    spec = Spec.make("gelu", client)
    code = (
        "import pickle, sys; from actserve._bridge import clients;"
        "spec = pickle.load(sys.stdin.buffer);"
        "print(clients.client_for(spec.client)._timeout)"
    )

    found = subprocess.run(
        [sys.executable, "-c", code],
        input=pickle.dumps(spec),
        stdout=subprocess.PIPE,
        check=True,
    )

    assert found.stdout.split() == [b"12.5"]


def test_a_client_that_is_gone_is_said_to_be():
    client = actserve.connect("local")
    spec = Spec.make("gelu", client)
    text = spec.text()
    del client, spec
    gc.collect()

    with pytest.raises(RuntimeError, match="give an address instead"):
        Spec.of_text(text)
