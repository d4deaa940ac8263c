"""Whatever goes wrong: one answer for each call, with the right bits.

And nothing is held afterwards. The promise is that of `History.check()`.
"""

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest
from history import History, Server, faulty_binary, load
from proxy import Cable
from testbed import server_binary

pytestmark = pytest.mark.server

NUM_CALLS = int(os.environ.get("ACTSERVE_FAULT_CALLS", "40"))
# What a client is told that a server cannot keep up with.
BUSY = ("RESOURCE_EXHAUSTED",)


@pytest.fixture
def history():
    return History()


def run(history, server, fault=lambda: None, address=None, **options):
    """Makes calls before, while and after a fault happens."""
    with load(history, address or server.address, **options) as callers:
        callers.await_calls(NUM_CALLS // 4)
        fault()
        callers.await_calls(NUM_CALLS)


@pytest.mark.parametrize("way", ["tcp", "unix"])
def test_no_fault(history, way):
    with Server() as server:
        address = server.address if way == "tcp" else server.unix_address
        run(history, server, address=address)
        server.await_nothing_held()
    history.check()


def test_kill_9_of_the_server(history):
    with Server() as server:

        def kill():
            server.kill()
            server.start()

        run(history, server, kill)
        server.await_nothing_held()
    history.check()


def test_a_drain(history):
    with Server() as server:

        def drain():
            assert server.stop() == 0
            server.start()

        run(history, server, drain)
        server.await_nothing_held()
    history.check()


def test_texts_and_residuals_are_evicted_all_the_time(history):
    with Server("--max_registered=1", "--max_residual_bytes=20000") as server:
        run(history, server)
        server.await_nothing_held()
        assert server.metric("actserve_registered_activations") == 1
    history.check()


@pytest.mark.parametrize(
    ("failpoints", "may_refuse"),
    [
        ("dropped_answer:1%20", ()),
        ("allocation_failure:1%10", BUSY),
        ("device_error:1%10", ("INTERNAL",)),
        ("compile_error:1%30,slow_compile:50", ("INTERNAL",)),
        ("disk_full", ()),
        # Whoever calls just then is late; a compilation seems to take minutes,
        # more than its caller may have.
        ("clock_jump:86400%1", ("DEADLINE_EXCEEDED", *BUSY)),
    ],
)
def test_failpoints(history, failpoints, may_refuse, monkeypatch):
    monkeypatch.setenv("FAILPOINTS", failpoints)
    with Server(binary=faulty_binary()) as server:
        run(history, server)
        server.await_nothing_held()
    history.check(may_refuse)
    assert history.num_answered > NUM_CALLS // 2


def limited(folder, limits):
    """Returns a program that is actserved under limits of the shell."""
    script = folder / "actserved_limited"
    script.write_text(f'#!/bin/bash\n{limits}\nexec {server_binary()} "$@"\n')
    script.chmod(0o755)
    return script


def test_no_byte_can_be_written(history, tmp_path):
    """A log or a cache beyond the limit on files ended the server."""
    folder = tmp_path / "cache"
    folder.mkdir(mode=0o700)
    # In blocks of 1 KiB: enough for the first lines of the log.
    script = limited(tmp_path, "ulimit -f 4")
    with Server(
        f"--cache_directory={folder}", "--log_level=debug", binary=script
    ) as server:
        address = server.address
        with load(history, address) as callers:
            callers.await_calls(NUM_CALLS)
        assert len(server.log()) <= 4096
        assert server.stop() == 0
    history.check()
    assert all(each.stat().st_size <= 4096 for each in folder.iterdir())


@pytest.mark.full
def test_few_descriptors(history, tmp_path):
    script = limited(tmp_path, "ulimit -n 64")
    with Server(binary=script) as server:
        run(history, server, num_callers=40, timeout=30)
        server.await_nothing_held()
    # Connections beyond the limit are closed, and made again.
    history.check(("UNAVAILABLE",))
    assert history.num_answered > NUM_CALLS // 2


@pytest.mark.full
@pytest.mark.parametrize("seconds", [0.5, 3.0])
def test_the_server_stands_still(history, seconds):
    with Server() as server:

        def stand_still():
            server.signal(signal.SIGSTOP)
            time.sleep(seconds)
            server.signal(signal.SIGCONT)

        run(history, server, stand_still)
        server.await_nothing_held()
    history.check()


@pytest.mark.full
@pytest.mark.parametrize("resets", [False, True])
def test_a_network_cut(history, resets):
    with Server() as server:
        cable = Cable(server.address)
        run(
            history,
            server,
            lambda: cable.cut(2.0, resets=resets),
            cable.address,
        )
        cable.close()
        server.await_nothing_held()
    history.check()


@pytest.mark.full
def test_the_proxy_is_gone_and_another_one_comes(history):
    with Server() as server:
        cable = Cable(server.address)
        port = int(cable.address.rpartition(":")[2])

        def replace():
            cable.close()
            time.sleep(0.2)
            others.append(Cable(server.address, port))

        others = []
        run(history, server, replace, cable.address)
        server.await_nothing_held()
    history.check()


@pytest.mark.full
@pytest.mark.parametrize("way", ["tcp", "unix"])
def test_kill_9_of_a_client(history, way):
    """What it held comes back, and others notice nothing."""
    with Server() as server:
        address = server.address if way == "tcp" else server.unix_address
        program = textwrap.dedent(f"""
            import sys
            sys.path[:0] = {sys.path!r}
            from history import History, Load
            callers = Load(History(), {address!r}, 3)
            callers.await_calls(10)
            print("calling", flush=True)
            callers.await_calls(10 ** 9)
        """)
        for _ in range(5):
            with subprocess.Popen(
                [sys.executable, "-c", program], stdout=subprocess.PIPE
            ) as other:
                other.stdout.readline()
                run(history, server, other.kill, address)
        # Residuals of the dead are there until their leases end.
        server.await_nothing_held()
        assert server.metric("actserve_shared_memory_clients") == 0
    history.check()


@pytest.mark.full
def test_kill_9_again_and_again(history):
    with (
        Server() as server,
        load(history, server.address) as callers,
    ):
        for _ in range(10):
            # So that no call meets as many kills as it has attempts.
            callers.await_calls(NUM_CALLS)
            server.kill()
            server.start()
        callers.await_calls(NUM_CALLS)
    history.check()
