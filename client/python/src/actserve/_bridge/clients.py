"""The clients that layers use: one for an address in a process.

Thread-safe. A child of a fork gets clients of its own.
"""

from __future__ import annotations

import copy
import itertools
import os
import threading
import weakref

from actserve import _library
from actserve._address import LOCAL
from actserve._client import Client
from actserve._connect import connect

_OBJECT = f"object:{os.urandom(8).hex()}:"
_numbers = itertools.count()
_objects: weakref.WeakValueDictionary[str, Client] = (
    weakref.WeakValueDictionary()
)
_keys: weakref.WeakKeyDictionary[Client, str] = weakref.WeakKeyDictionary()

# Of this process.
_lock = threading.Lock()
_opened: dict[str | None, Client] = {}
_inherited: frozenset[str] = frozenset()


def key_of(client: Client) -> str:
    """Returns the text that stands for `client` in this process.

    It does so as long as somebody refers to the client.
    """
    with _lock:
        key = _keys.get(client)
        if key is None:
            key = f"{_OBJECT}{next(_numbers)}"
            _keys[client] = key
            _objects[key] = client
        return key


def is_key(text: str) -> bool:
    """Returns whether `text` is a key of key_of(), and no address."""
    return text.startswith("object:")


def object_of(key: str | None) -> Client | None:
    """Returns the client of a key of key_of(); None: it is an address.

    Raises:
      RuntimeError: The client is gone, or was of another process.
    """
    if key is None or not is_key(key):
        return None
    client = _objects.get(key)
    if client is None:
        raise RuntimeError(
            "the Client of this activation is gone, or was of another "
            "process; give an address instead"
        )
    return client


def client_for(key: str | None) -> Client:
    """Returns the client of an address, of None, or of a key of key_of().

    Raises: as connect() and object_of().
    """
    client = _opened.get(key)
    if client is not None:
        return client
    with _lock:
        client = _opened.get(key)
        if client is None:
            given = object_of(key)
            if given is None:
                client = connect(key)
            elif key not in _inherited:
                return given
            else:
                client = copy.copy(given)
            _opened[key] = client
        return client


def local() -> Client | None:
    """Returns the client that computes here; None without the library."""
    return client_for(LOCAL) if _library.path() is not None else None


def _forget() -> None:
    global _lock, _opened, _inherited
    _lock = threading.Lock()
    _opened = {}
    _inherited = frozenset(_objects)


os.register_at_fork(after_in_child=_forget)
