"""Where the lines of a text stand in the file of its author."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable
from dataclasses import dataclass

from actserve._errors import ActivationError, Diagnostic

# How the server begins a diagnostic in a message.
_POSITION = re.compile(r"^(\d+):(\d+)(?=: (?:error|warning|note): )", re.M)


@dataclass(frozen=True)
class Place:
    """Where a line of a text stands.

    Attributes:
      file: Its name, as Python knows it.
      line: The line, from 1.
      margin: How many bytes further right it stands there.
    """

    file: str
    line: int
    margin: int

    def at(self, column: int) -> str:
        """Returns "file:line:column" for a column of the text, from 1."""
        return f"{self.file}:{self.line}:{column + self.margin}"


# Of each line of a text; shorter, or None, where it is not known.
Places = tuple[Place | None, ...]


def place_of(line: int, places: Places) -> Place | None:
    """Returns the place of a line, from 1."""
    return places[line - 1] if 1 <= line <= len(places) else None


def located(error: ActivationError, places: Places) -> ActivationError:
    """Returns `error` of a text with the places in its author's files."""

    def at(match: re.Match[str]) -> str:
        place = place_of(int(match[1]), places)
        return match[0] if place is None else place.at(int(match[2]))

    return ActivationError(
        error.code,
        _POSITION.sub(at, error.message),
        located_diagnostics(error.diagnostics, places),
        error.reason,
    )


def located_diagnostics(
    diagnostics: Iterable[Diagnostic], places: Places
) -> tuple[Diagnostic, ...]:
    """Returns `diagnostics` of a text with their places."""
    result = []
    for diagnostic in diagnostics:
        place = place_of(diagnostic.line, places)
        if place is not None:
            at = place.at(diagnostic.column)
            diagnostic = dataclasses.replace(diagnostic, place=at)
        result.append(diagnostic)
    return tuple(result)
