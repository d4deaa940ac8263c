"""A Python function's own source as the text of an activation."""

from actserve._source.collected import Collected
from actserve._source.collector import collect
from actserve._source.names import function_name
from actserve._source.outside import outside

__all__ = ["Collected", "collect", "function_name", "outside"]
