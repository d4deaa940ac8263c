"""Records calls and their answers, and finds what a server must never do.

A `History` makes calls by clients and notes each one and each of its answers.
`check()` then demands that every call has exactly one answer, and that an
answer with tensors has the bits that this process computes. Each call has
tensors of its own, so that an answer of another call is found too.
"""

import collections
import contextlib
import re
import threading
import time
import urllib.request

import numpy as np
import testbed

import actserve
from actserve.testing import ServerProcess

# After so long a call without an answer is lost.
PATIENCE_SECONDS = 60.0


@actserve.activation
def cubic(x, a=0.5):
    return a * x * x * x - x


@actserve.activation
def bump(x):
    return x * exp(-x * x)  # noqa: F821


def _forward(client, x):
    return client.forward("tanh", x)


def _rows(client, x):
    return client.forward("softmax", x.reshape(4, -1), axis=-1)


def _backward(client, x):
    grads = client.backward(cubic, x, grad_output=x, wrt=["x", "a"])
    return np.append(grads["x"].astype(np.float64), grads["a"])


def _step(client, x):
    y, _, residual = client.forward_with(bump, x, keep_residual=True)
    grads = client.backward(bump, residual=residual, grad_output=y)
    client.release_residuals(residual)
    return grads["x"]


# Each with the number of its elements: at once, from the queue, in a stream.
KINDS = [
    (_forward, 256),
    (_rows, 4096),
    (_backward, 1 << 15),
    (_step, 1 << 12),
    (_forward, 1 << 19),
]


class History:
    """Calls and answers. Any thread may make calls."""

    def __init__(self):
        self._lock = threading.Lock()
        self._next = 0
        self._events = []

    def call(self, client):
        """Makes one call; returns whether it was answered with tensors."""
        with self._lock:
            number = self._next
            self._next += 1
            self._events.append(("asked", number, None))
        call, x = request(number)
        try:
            answer = ("answered", number, call(client, x).tobytes())
        except actserve.ActivationError as error:
            answer = ("refused", number, error.code.name)
        self.note(answer)
        return answer[0] == "answered"

    def note(self, event):
        with self._lock:
            self._events.append(event)

    @property
    def refusals(self):
        """How often each code came."""
        return collections.Counter(
            what for kind, _, what in self._events if kind == "refused"
        )

    @property
    def num_answered(self):
        return sum(kind == "answered" for kind, _, _ in self._events)

    def check(self, may_refuse=()):
        """Fails with every call that broke a promise.

        Args:
          may_refuse: The codes that a call may be refused with.
        """
        answers = collections.defaultdict(list)
        with self._lock:
            events = list(self._events)
        for kind, number, what in events:
            if kind != "asked":
                answers[number].append((kind, what))
        errors = []
        with actserve.connect("local") as oracle:
            for number in range(self._next):
                error = _judge(answers[number], number, oracle, may_refuse)
                if error:
                    errors.append(f"call {number}: {error}")
        assert not errors, f"{len(errors)} of {self._next}: {errors[:10]}"


def request(number):
    """Returns what call `number` does, and its tensor."""
    call, size = KINDS[number % len(KINDS)]
    x = np.random.default_rng(number).standard_normal(size, np.float32)
    return call, x


def _judge(answers, number, oracle, may_refuse):
    if not answers:
        return "lost"
    if len(answers) > 1:
        return f"answered {len(answers)} times"
    kind, what = answers[0]
    if kind == "refused":
        return None if what in may_refuse else f"refused with {what}"
    call, x = request(number)
    if what != call(oracle, x).tobytes():
        return "answered with other bits"
    return None


class Load:
    """Callers that make calls, one each at a time, until they are stopped."""

    def __init__(self, history, address, num_callers=5, **options):
        self._history = history
        self._stopped = threading.Event()
        self._progress = threading.Condition()
        self._num_done = 0
        self._threads = [
            # One that never comes back does not keep the test from its end.
            threading.Thread(
                target=self._run, args=(address, options), daemon=True
            )
            for _ in range(num_callers)
        ]
        for each in self._threads:
            each.start()

    def _run(self, address, options):
        with actserve.connect(address, **options) as client:
            while not self._stopped.is_set():
                if not self._history.call(client):
                    time.sleep(0.01)
                with self._progress:
                    self._num_done += 1
                    self._progress.notify_all()

    def await_calls(self, number):
        """Waits until so many more calls are done."""
        with self._progress:
            wanted = self._num_done + number
            assert self._progress.wait_for(
                lambda: self._num_done >= wanted, PATIENCE_SECONDS
            ), f"{self._num_done} calls of {wanted} were done"

    def stop(self):
        """Waits for the last answers; lost ones are found by the history."""
        self._stopped.set()
        end = time.monotonic() + PATIENCE_SECONDS
        for each in self._threads:
            each.join(max(0.0, end - time.monotonic()))


@contextlib.contextmanager
def load(history, address, **options):
    """A `Load` that stops at the end."""
    callers = Load(history, address, **options)
    try:
        yield callers
    finally:
        callers.stop()


class Server(ServerProcess):
    """One with metrics; `binary` may be another program than actserved.

    Where an answer was lost, its residual stays until the lease ends: a second.
    """

    def __init__(self, *flags, binary=None):
        super().__init__(
            binary or testbed.server_binary(),
            "--metrics=127.0.0.1:0",
            "--default_residual_lease=1s",
            *flags,
        )

    def signal(self, number):
        self._process.send_signal(number)

    def metric(self, name):
        """Returns the value of a metric, as spelled: `a_total{b="c"}`."""
        address = re.findall(r'"metrics":"([0-9.:]+)"', self.log())[-1]
        with urllib.request.urlopen(
            f"http://{address}/metrics", timeout=10
        ) as page:
            for line in page.read().decode().splitlines():
                if line.startswith(f"{name} "):
                    return float(line.rpartition(" ")[2])
        return 0.0

    def await_nothing_held(self, patience=20.0):
        """Waits until calls, residuals and regions hold nothing any more."""
        held = [
            'actserve_memory_bytes{half="requests"}',
            'actserve_memory_bytes{half="results"}',
            "actserve_queued_requests",
            "actserve_residuals",
            "actserve_residual_bytes",
            "actserve_shared_memory_bytes",
        ]
        end = time.monotonic() + patience
        while left := {name: n for name in held if (n := self.metric(name))}:
            assert time.monotonic() < end, left
            time.sleep(0.05)


def faulty_binary():
    """Returns the path of the server with failpoints."""
    return testbed.server_binary().with_name("actserved_faults")
