"""A text, as it is put together."""

from __future__ import annotations

from dataclasses import dataclass, field

from actserve._source.places import Place, Places


@dataclass
class Collected:
    """A text that needs nothing else but its constants."""

    imports: list[str] = field(default_factory=list)
    # In order: helpers, then the function itself.
    texts: list[str] = field(default_factory=list)
    constants: dict[str, float] = field(default_factory=dict)
    # By text; of one that was given as a text there are none.
    _places: dict[str, Places] = field(default_factory=dict)

    def text(self) -> str:
        """Returns all texts as one."""
        return "\n\n".join(self._parts())

    def places(self) -> Places:
        """Returns where the lines of text() stand in the author's files."""
        if not self._places:
            return ()
        result: list[Place | None] = []
        for part in self._parts():
            places = self._places.get(part, ())
            num_lines = part.count("\n") + 2
            result += [*places, *[None] * (num_lines - len(places))]
        return tuple(result)

    def _parts(self) -> list[str]:
        parts = ["\n".join(self.imports) + "\n"] if self.imports else []
        return parts + self.texts

    def add_import(self, line: str) -> None:
        """Adds an import line unless it is there."""
        if line not in self.imports:
            self.imports.append(line)

    def add_text(self, text: str, places: Places = ()) -> None:
        """Adds `text`, whose lines stand at `places`, unless it is there."""
        if text not in self.texts:
            self.texts.append(text)
            if places:
                self._places[text] = places

    def bind(self, name: str, value: float) -> str | None:
        """Binds a constant. Returns why that is impossible, or None."""
        # As texts, of which those of 0.0 and -0.0 differ.
        if repr(self.constants.setdefault(name, value)) != repr(value):
            return (
                f"{name} is {self.constants[name]!r} in one function and "
                f"{value!r} in another"
            )
        return None
