"""Evaluates operations in this process, without Python."""
from typing import Any

enabled = True


def is_here() -> bool:
    return False


def serves(operation: Any) -> bool:
    return enabled and is_here()


def call(*a: Any) -> Any:
    raise AssertionError
