"""What the bridges to the frameworks share: NumPy arrays in and out.

A bridge makes a Spec of what its user wants, and asks its evaluator().
"""

from actserve._bridge.evaluator import Evaluator, evaluator
from actserve._bridge.spec import Spec

__all__ = ["Evaluator", "Spec", "evaluator"]
