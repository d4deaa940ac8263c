"""Whose line a message is about; and sources that are hard to find."""

import doctest
import importlib
import linecache
import sys
from pathlib import Path

import numpy as np
import pytest

import actserve

SCALE = 3.0

# What the tests below find by its words.
THIS = Path(__file__).read_text().splitlines()


def place_of(words):
    """Returns "file:line:column" of the only line with `words`."""
    wanted = words + "  # here"
    (line,) = (i for i, text in enumerate(THIS) if wanted in text)
    return f"{__file__}:{line + 1}:{THIS[line].index(wanted) + 1}"


@pytest.fixture
def client():
    with actserve.connect("local") as result:
        yield result


def refused(client, activation):
    with pytest.raises(actserve.ActivationError) as caught:
        client.forward(activation, np.ones(3, np.float32))
    return caught.value


def test_errors_name_the_line_of_the_author(client):
    def helper(x):
        return undefined_in_helper(x)  # here # noqa: F821

    def main(x, a=SCALE):
        y = helper(x)
        while y > a:  # here
            y = y - 1
        return y * x.real_part  # here

    error = refused(client, actserve.activation(main))

    lines = str(error).splitlines()
    for words, message in (
        ("undefined_in_helper(x)", "'undefined_in_helper' is not a known"),
        ("while y > a:", "while loops are not supported"),
    ):
        assert any(
            line.removeprefix("INVALID_ARGUMENT: ").startswith(
                f"{place_of(words)}: error: {message}"
            )
            for line in lines
        ), (words, error)
    assert place_of("undefined_in_helper(x)") in {
        diagnostic.place for diagnostic in error.diagnostics
    }


def test_positions_in_a_text_stay_those_of_the_text(client):
    text = "def f(x):\n    return x * zeta(x)"

    error = refused(client, actserve.activation(text))

    assert error.message.startswith("2:16: error: ")
    assert error.diagnostics[0].place == ""


def test_warnings_name_the_line_of_the_author(client):
    def flat(x):  # here
        return 1 if x > 0 else 0

    with pytest.warns(actserve.ActivationWarning) as found:
        client.forward(actserve.activation(flat), np.ones(3, np.float32))

    (warning,) = found
    at = f"{warning.filename}:{warning.lineno}:5"
    assert at == place_of("def flat(x):")
    assert str(warning.message).startswith("flat: the gradient with respect")


def test_places_pickle_and_do_not_make_a_difference():
    def plain(x):
        return x * SCALE

    activation = actserve.activation(plain)

    assert activation == actserve.activation(
        activation.text, constants={"SCALE": 3.0}
    )
    reduced = activation.__reduce__()
    assert reduced[0](*reduced[1]).places == activation.places != ()


square = lambda x: x * x  # noqa: E731
pair = (lambda x: x + 1, lambda x: x + 2)


def test_lambdas_are_taken(client):
    slope = 0.25
    leaky = lambda x, a=slope: x if x > 0 else a * x  # noqa: E731
    long = actserve.activation(lambda x: square(x) - 1)
    x = np.array([-2.0, 3.0], np.float32)

    assert actserve.activation(square).name == "square"
    np.testing.assert_array_equal(
        client.forward(actserve.activation(leaky), x), [-0.5, 3]
    )
    np.testing.assert_array_equal(client.forward(long, x), [3, 8])


@pytest.mark.skipif(
    sys.version_info < (3, 11), reason="Python tells no columns before 3.11"
)
def test_two_lambdas_of_a_line_are_told_apart(client):
    x = np.zeros(1, np.float32)
    assert [client.forward(actserve.activation(f), x)[0] for f in pair] == [
        1,
        2,
    ]


@pytest.mark.skipif(
    sys.version_info < (3, 11), reason="Python tells no columns before 3.11"
)
def test_a_lambda_is_told_from_that_around_it():
    made = (lambda: actserve.activation(lambda x: x * 2))()
    scaled = lambda a: lambda x: a * x  # noqa: E731
    around = lambda x: (lambda y: y + 1)(x)  # noqa: E731

    assert "return (x * 2)" in made.text
    assert "return (a * x)" in actserve.activation(scaled(3.0)).text
    assert "(lambda y: y + 1)(x)" in actserve.activation(around).text


def test_errors_in_a_lambda_name_its_line(client):
    f = actserve.activation(
        lambda x: (
            x + beta_of(x)  # here # noqa: F821
        )
    )

    error = refused(client, f)

    assert f"{place_of('beta_of(x)')}: error: 'beta_of'" in str(error)


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Imports a module of a text; called again, only its file changes."""
    file = tmp_path / "of_a_user.py"
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def write(text):
        file.write_text(text)
        linecache.checkcache()
        return importlib.import_module("of_a_user")

    yield write
    sys.modules.pop("of_a_user", None)


@pytest.mark.parametrize(
    "edited",
    [
        "def f(x):\n    return x * 3\n",
        "\n\ndef f(x):\n    return x * 2\n",
        "def g(x):\n    return x * 2\n",
        "def f(x):\n    return x * 2 + (\n",
        "",
    ],
    ids=["a number", "moved", "another", "no Python", "empty"],
)
def test_a_file_edited_since_its_import_is_refused(module, edited):
    imported = module("def f(x):\n    return x * 2\n")
    assert (
        actserve.activation(imported.f).text == "def f(x):\n    return x * 2\n"
    )

    module(edited)

    with pytest.raises(actserve.ActivationError, match="source of f"):
        actserve.activation(imported.f)


def test_edits_elsewhere_do_no_harm(module):
    imported = module("def f(x):\n    return x * 2\n")

    module("def f(x):\n    # the same\n    return x * 2\n\nLATER = 1\n")

    assert actserve.activation(imported.f).name == "f"


def test_a_cell_of_a_notebook_is_a_source(client):
    text = "def cell(x):\n    return x + unknown_there(x)\n"
    name = "/tmp/ipykernel_1/2345.py"
    linecache.cache[name] = (len(text), None, text.splitlines(True), name)
    scope = {}
    exec(compile(text, name, "exec"), scope)

    error = refused(client, actserve.activation(scope["cell"]))

    assert f"{name}:2:16: error: 'unknown_there'" in str(error)


def test_a_doctest_is_a_source():
    example = """
    >>> def twice(x):
    ...     return 2 * x
    >>> actserve.activation(twice).text.splitlines()[1]
    '    return 2 * x'
    """
    test = doctest.DocTestParser().get_doctest(
        example, {"actserve": actserve}, "example", None, 0
    )

    assert doctest.DocTestRunner().run(test) == (0, 2)


@pytest.mark.parametrize("text", ["def f(x): return x", "f = lambda x: x"])
def test_what_exec_made_has_no_source(text):
    scope = {}
    exec(text, scope)

    with pytest.raises(actserve.ActivationError, match="give its text"):
        actserve.activation(scope["f"])


def test_generators_are_no_activations():
    def many(x):
        yield x

    with pytest.raises(TypeError, match="many is not a plain `def`"):
        actserve.activation(many)
