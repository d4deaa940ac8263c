"""A text, as it is put together."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Collected:
    """A text that needs nothing else but its constants."""

    imports: list[str] = field(default_factory=list)
    # In order: helpers, then the function itself.
    texts: list[str] = field(default_factory=list)
    constants: dict[str, float] = field(default_factory=dict)

    def text(self) -> str:
        """Returns all texts as one."""
        parts = ["\n".join(self.imports) + "\n"] if self.imports else []
        return "\n\n".join(parts + self.texts)

    def add_import(self, line: str) -> None:
        """Adds an import line unless it is there."""
        if line not in self.imports:
            self.imports.append(line)

    def add_text(self, text: str) -> None:
        """Adds `text` unless it is there."""
        if text not in self.texts:
            self.texts.append(text)

    def bind(self, name: str, value: float) -> str | None:
        """Binds a constant. Returns why that is impossible, or None."""
        if self.constants.setdefault(name, value) != value:
            return (
                f"{name} is {self.constants[name]!r} in one function and "
                f"{value!r} in another"
            )
        return None
