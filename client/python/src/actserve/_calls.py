"""The calls of the contract, and what this client has registered."""

from __future__ import annotations

import dataclasses
import itertools
import threading
from collections.abc import Callable, Sequence
from typing import Any

import grpc
from google.protobuf.message import DecodeError, Message
from numpy.typing import NDArray

from actserve._activation import Activation
from actserve._errors import ActivationError, diagnostic_from_proto, warn
from actserve._info import ActivationInfo, activation_info
from actserve._replicas import Place
from actserve._source.places import located, located_diagnostics
from actserve._ways import Answer, Way
from actserve.v1 import activation_pb2, service_pb2

# The most that a server takes (ServerLimits in the contract).
_LIST_PAGE_SIZE = 1000

Array = NDArray[Any]


class ListLostError(Exception):
    """The server that began a list cannot continue it."""

    def __init__(self, failure: ActivationError):
        super().__init__(failure)
        self.failure = failure


class Calls:
    """Calls the methods, and registers activations where they are unknown.

    Thread-safe.
    """

    def __init__(self, way: Way, max_attempts: int):
        self._way = way
        self._max_attempts = max_attempts
        self._lock = threading.Lock()
        self._registered: dict[Activation, ActivationInfo] = {}
        self._ids: dict[str, Activation] = {}
        self._named: dict[str, ActivationInfo] = {}

    def evaluate(
        self,
        method: str,
        activation: Activation | str,
        request: Any,
        payloads: Sequence[Array],
        response: Message,
        deadline: float,
        place: Place,
        outputs: Sequence[Array] = (),
    ) -> Sequence[memoryview | Array]:
        """Calls Forward or Backward.

        Fills `response` and returns its payloads.
        """
        header, found = self._ask_about(
            activation,
            request,
            lambda: self._send(
                method, request, payloads, deadline, place, outputs
            ),
            deadline,
            place,
        )
        try:
            response.ParseFromString(header)
        except DecodeError as error:
            raise ActivationError(
                grpc.StatusCode.INTERNAL, f"malformed response: {error}"
            ) from error
        return found

    def _ask_about(
        self,
        activation: Activation | str,
        request: Any,
        send: Callable[[], Answer],
        deadline: float,
        place: Place,
    ) -> Answer:
        """Returns what `send` does, with the activation's id in `request`.

        Registers the activation where it is unknown: more than once if need be,
        as a server may restart more than once within a call. `max_attempts`
        bounds that too. The server that answered last is asked first for what
        follows.
        """
        if isinstance(activation, str):
            # An id that this client registered can be registered again.
            with self._lock:
                activation = self._ids.get(activation, activation)
        if isinstance(activation, Activation):
            request.activation = self.info(activation, deadline, place).id
        elif isinstance(activation, str):
            request.activation = activation
        else:
            # Which needs all of this package.
            from actserve._bridge.suggestion import instead_of

            raise TypeError(
                instead_of(activation)
                or f"{activation!r} is neither an activation nor the name of "
                f"one; decorate it with @actserve.activation"
            )
        for num_registered in itertools.count():
            try:
                return send()
            except ActivationError as error:
                if (
                    error.reason != "ACTIVATION_UNKNOWN"
                    or num_registered >= self._max_attempts
                ):
                    raise
                if isinstance(activation, str):
                    raise _of_unknown(activation, error) from None
            # Another server, or the same after a restart.
            request.activation = self.register(activation, deadline, place).id
        raise AssertionError("unreachable")

    def _send(
        self,
        method: str,
        request: Message,
        payloads: Sequence[Array],
        deadline: float,
        place: Place,
        outputs: Sequence[Array] = (),
    ) -> Answer:
        return self._way.send(
            method,
            request.SerializeToString(),
            payloads,
            deadline,
            place,
            outputs,
        )

    def control(
        self,
        method: str,
        request: Message,
        response: Message,
        deadline: float,
        place: Place | None = None,
    ) -> None:
        """Calls a method without tensors."""
        header, _ = self._way.send(
            method, request.SerializeToString(), (), deadline, place
        )
        response.ParseFromString(header)

    def list(
        self, with_texts: bool, deadline: float, place: Place
    ) -> tuple[ActivationInfo, ...]:
        """Returns all pages, from one server: a page token is its own.

        Raises:
          ListLostError: That server cannot continue the list.
        """
        request = service_pb2.ListActivationsRequest(
            page_size=_LIST_PAGE_SIZE, with_texts=with_texts
        )
        infos: list[ActivationInfo] = []
        while True:
            page = service_pb2.ListActivationsResponse()
            asked = place.replica
            failure = ActivationError(
                grpc.StatusCode.UNAVAILABLE, "no server lists all"
            )
            refused = False
            try:
                self.control("ListActivations", request, page, deadline, place)
            except ActivationError as error:
                failure = error
                refused = error.code is grpc.StatusCode.INVALID_ARGUMENT
                moved = place.replica != asked
                if not request.page_token or not (refused or moved):
                    raise
            if request.page_token and (refused or place.replica != asked):
                raise ListLostError(failure)
            infos.extend(map(activation_info, page.activations))
            request.page_token = page.next_page_token
            if not request.page_token:
                return tuple(infos)

    def info(
        self, activation: Activation | str, deadline: float, place: Place
    ) -> ActivationInfo:
        """Returns the description of an activation; asks once."""
        with self._lock:
            known = (
                self._registered.get(activation)
                if isinstance(activation, Activation)
                else self._named.get(activation)
            )
        if known is not None:
            return known
        if isinstance(activation, Activation):
            return self.register(activation, deadline, place)
        info = self.get(activation, deadline)
        with self._lock:
            self._named[activation] = info
        return info

    def register(
        self, activation: Activation, deadline: float, place: Place
    ) -> ActivationInfo:
        request = service_pb2.RegisterActivationRequest(
            text=activation.text,
            derivative=activation.derivative,
            constants=activation.constants,
            exact=activation.exact,
        )
        response = service_pb2.RegisterActivationResponse()
        try:
            self.control(
                "RegisterActivation", request, response, deadline, place
            )
        except ActivationError as error:
            raise located(error, activation.places) from None
        info = dataclasses.replace(
            activation_info(response.activation),
            diagnostics=located_diagnostics(
                map(diagnostic_from_proto, response.diagnostics),
                activation.places,
            ),
        )
        with self._lock:
            is_new = activation not in self._registered
            self._registered[activation] = info
            self._ids[info.id] = activation
        if is_new and not activation.is_derived:
            warn(info.name or activation.name, info.diagnostics)
        return info

    def register_again(
        self,
        activation: Activation | str,
        deadline: float,
        place: Place,
        failure: ActivationError,
    ) -> None:
        """Registers what `place` did not know, or raises `failure`."""
        if isinstance(activation, str):
            with self._lock:
                activation = self._ids.get(activation, activation)
        if isinstance(activation, str):
            raise failure
        self.register(activation, deadline, place)

    def get(
        self,
        activation: Activation | str,
        deadline: float,
        with_gradients: bool = False,
    ) -> ActivationInfo:
        request = service_pb2.GetActivationRequest(
            with_gradients=with_gradients
        )
        place = Place()
        header, _ = self._ask_about(
            activation,
            request,
            lambda: self._send("GetActivation", request, (), deadline, place),
            deadline,
            place,
        )
        return activation_info(activation_pb2.Activation.FromString(header))


def _of_unknown(name: str, error: ActivationError) -> ActivationError:
    """Returns the error of an unknown name, with those that are nearest."""
    if ":" in name:
        return error  # An id.
    # Which needs all of this package.
    from actserve._bridge.suggestion import nearest

    return ActivationError(
        error.code,
        f"{error.message}{nearest(name)}",
        error.diagnostics,
        error.reason,
    )
