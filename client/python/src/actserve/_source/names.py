"""The names in the tree of a function."""

from __future__ import annotations

import ast
from dataclasses import dataclass


@dataclass(frozen=True)
class Use:
    """The first place where a function reads a name from outside."""

    node: ast.Name
    is_called: bool
    is_prefix: bool


def function_name(text: str) -> str | None:
    """Returns the name of the activation in `text`; None if Python cannot tell.

    That is the last `def` which is not the gradient of another.
    """
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    names = [node.name for node in body if isinstance(node, ast.FunctionDef)]
    mains = [
        name
        for name in names
        if not (name.endswith("_grad") and name.removesuffix("_grad") in names)
    ]
    return mains[-1] if mains else None


def outside_names(node: ast.FunctionDef) -> list[Use]:
    """Returns the names that the body reads but does not assign, once each."""
    body = [part for part in ast.walk(node) if part is not node]
    local = {part.arg for part in body if isinstance(part, ast.arg)}
    called: set[int] = set()
    prefixes: set[int] = set()
    names: list[ast.Name] = []
    ignored = _outside_body(node)
    for part in body:
        if isinstance(part, ast.Call):
            called.add(id(part.func))
        elif isinstance(part, ast.Attribute):
            prefixes.add(id(part.value))
        elif isinstance(part, ast.FunctionDef):
            local.add(part.name)
        elif isinstance(part, ast.Name) and id(part) not in ignored:
            if isinstance(part.ctx, ast.Load):
                names.append(part)
            else:
                local.add(part.id)
    names.sort(key=lambda name: (name.lineno, name.col_offset))
    # Imports inside the text are read by the server.
    for part in body:
        if isinstance(part, (ast.Import, ast.ImportFrom)):
            local |= {
                (alias.asname or alias.name).partition(".")[0]
                for alias in part.names
            }
    uses: dict[str, Use] = {}
    for name in names:
        if name.id in local:
            continue
        use = Use(name, id(name) in called, id(name) in prefixes)
        known = uses.get(name.id)
        # A bare read asks more than a call.
        if known is None or (
            (known.is_called or known.is_prefix)
            and not (use.is_called or use.is_prefix)
        ):
            uses[name.id] = use
    return list(uses.values())


def _outside_body(node: ast.FunctionDef) -> set[int]:
    """Returns the ids of the nodes that are evaluated outside the body."""
    outer: list[ast.AST | None] = [
        *node.decorator_list,
        *node.args.defaults,
        *node.args.kw_defaults,
    ]
    for part in ast.walk(node):
        if isinstance(part, ast.arg):
            outer.append(part.annotation)
        elif isinstance(part, ast.FunctionDef):
            outer.append(part.returns)
        elif isinstance(part, ast.AnnAssign):
            outer.append(part.annotation)
    return {
        id(inner)
        for part in outer
        if part is not None
        for inner in ast.walk(part)
    }
