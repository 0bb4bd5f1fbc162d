"""The servers and the proxy do what the tests that use them rest on."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from casreg.testing import proxy as proxies, servers
from clouds.scripted import Asked, Reply, Scripted

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.clouds

ROOT = Path(__file__).parents[2]
UPLOAD = "/upload/storage/v1/b/proxy/o?uploadType=media&name="


@pytest.fixture
def proxy(fake_gcs: servers.Server) -> Iterator[proxies.FaultProxy]:
    """In front of a server that needs no signatures, with a bucket called `proxy`."""
    ask(fake_gcs.endpoint, "POST", "/storage/v1/b?project=p", b'{"name": "proxy"}')
    with proxies.FaultProxy(fake_gcs.endpoint) as proxy:
        yield proxy


def ask(endpoint: str, method: str, target: str, body: bytes = b"", timeout: float = 30) -> tuple[int, bytes]:
    """Status and body of one request on a connection of its own."""
    connection = http.client.HTTPConnection(endpoint, timeout=timeout)
    try:
        connection.request(method, target, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def stored(server: servers.Server, name: str) -> bytes | None:
    """What the server has, asked past the proxy."""
    status, body = ask(server.endpoint, "GET", f"/storage/v1/b/proxy/o/{name}?alt=media")
    return body if status == 200 else None


def test_a_server_keeps_its_data_over_a_kill(tmp_path: object) -> None:
    """Killed and started again, it is at the same port and has what was written; stopped, it leaves nothing."""
    with servers.running(servers.fake_gcs()) as server:
        ask(server.endpoint, "POST", "/storage/v1/b?project=p", b'{"name": "proxy"}')
        assert ask(server.endpoint, "POST", UPLOAD + "kept", b"hello")[0] == 200
        before = server.pid
        server.restart()
        assert server.pid != before
        assert stored(server, "kept") == b"hello"
    assert server.pid is None
    assert not server.folder.exists()
    with pytest.raises(OSError):
        ask(server.endpoint, "GET", "/")


def test_a_server_that_does_not_start_says_why() -> None:
    """The end of what it printed is in the error."""
    server = servers.fake_gcs()
    plan = server.plan
    server._make = lambda folder: servers.Plan(
        "broken", plan.endpoint, (plan.command[0], "-no-such-option"), lambda: False
    )
    server.plan = server._make(server.folder)
    with pytest.raises(servers.ServerError, match="no-such-option"), servers.running(server):
        pass
    assert not server.folder.exists()


def test_a_proxy_without_a_plan_changes_nothing(proxy: proxies.FaultProxy, fake_gcs: servers.Server) -> None:
    """Requests and answers pass whole, and are noted."""
    data = bytes(range(256)) * 4000
    assert ask(proxy.endpoint, "POST", UPLOAD + "large", data)[0] == 200
    assert ask(proxy.endpoint, "GET", "/storage/v1/b/proxy/o/large?alt=media") == (200, data)
    assert [(one.number, one.method, one.size) for one in proxy.requests] == [
        (1, "POST", len(data)),
        (2, "GET", 0),
    ]


@pytest.mark.parametrize("fault", [proxies.DROP, proxies.CUT], ids=lambda fault: fault.harm.name)
def test_the_server_does_not_act_on_what_is_kept_from_it(
    proxy: proxies.FaultProxy, fake_gcs: servers.Server, fault: proxies.Fault
) -> None:
    """The client has a broken connection, and nothing is stored."""
    proxy.reset(lambda request: fault)
    with pytest.raises(OSError):
        ask(proxy.endpoint, "POST", UPLOAD + fault.harm.name, b"x" * 1000)
    time.sleep(0.05)
    assert stored(fake_gcs, fault.harm.name) is None
    assert proxy.faults == 1


def test_a_refusal_before_and_one_after(proxy: proxies.FaultProxy, fake_gcs: servers.Server) -> None:
    """The client hears the same; only in the second case has the server acted."""
    for after in (False, True):
        proxy.reset(lambda request, after=after: proxies.refusal(503, after=after))  # type: ignore[misc]
        status, body = ask(proxy.endpoint, "POST", f"{UPLOAD}refused-{after}", b"data")
        assert (status, b"SlowDown" in body) == (503, True)
        assert stored(fake_gcs, f"refused-{after}") == (b"data" if after else None)


def test_a_lost_answer_is_that_of_a_server_that_acted(
    proxy: proxies.FaultProxy, fake_gcs: servers.Server
) -> None:
    """The client has a broken connection, and it is stored."""
    proxy.reset(lambda request: proxies.LOSE)
    with pytest.raises(OSError):
        ask(proxy.endpoint, "POST", UPLOAD + "lost", b"data")
    assert stored(fake_gcs, "lost") == b"data"


def test_a_truncated_answer_ends_in_its_middle(proxy: proxies.FaultProxy, fake_gcs: servers.Server) -> None:
    """The client gets the head and half of the body."""
    ask(proxy.endpoint, "POST", UPLOAD + "half", b"12345678")
    proxy.reset(lambda request: proxies.TRUNCATE)
    with pytest.raises(http.client.IncompleteRead) as cut:
        ask(proxy.endpoint, "GET", "/storage/v1/b/proxy/o/half?alt=media")
    assert cut.value.partial == b"1234"


@pytest.mark.parametrize("fault", [proxies.STALL, proxies.HANG], ids=lambda fault: fault.harm.name)
def test_an_answer_that_never_comes(
    proxy: proxies.FaultProxy, fake_gcs: servers.Server, fault: proxies.Fault
) -> None:
    """The client waits until its own time is over; a stalled request was never seen, a hanging one was."""
    proxy.reset(lambda request: fault)
    with pytest.raises(TimeoutError):
        ask(proxy.endpoint, "POST", UPLOAD + fault.harm.name, b"data", timeout=0.3)
    assert stored(fake_gcs, fault.harm.name) == (b"data" if fault is proxies.HANG else None)


def test_a_delay_is_waited_for(proxy: proxies.FaultProxy) -> None:
    """And then everything is as always."""
    proxy.reset(lambda request: proxies.Fault(delay=0.2))
    began = time.monotonic()
    assert ask(proxy.endpoint, "GET", "/storage/v1/b/proxy")[0] == 200
    assert time.monotonic() - began >= 0.2


def test_what_is_not_answered_yet_is_known() -> None:
    """From when the server was sent a request until it begins to answer."""
    asked, go_on = threading.Event(), threading.Event()

    def answer(_: Asked) -> Reply:
        asked.set()
        assert go_on.wait(30)
        return Reply(200, b"late")

    with Scripted() as server, proxies.FaultProxy(server.url.removeprefix("http://")) as proxy:
        server.answer = answer
        with ThreadPoolExecutor(1) as threads:
            done = threads.submit(ask, proxy.endpoint, "PUT", "/slow", b"body")
            assert asked.wait(30)
            assert [(request.method, request.target) for request in proxy.unanswered] == [("PUT", "/slow")]
            go_on.set()
            assert done.result() == (200, b"late")
        assert proxy.unanswered == []


def test_the_plan_chooses_the_request(proxy: proxies.FaultProxy) -> None:
    """By its number, and by all else that it sees."""
    proxy.reset(lambda request: proxies.refusal(429) if request.number == 2 else None)
    statuses = [ask(proxy.endpoint, "GET", "/storage/v1/b/proxy")[0] for _ in range(3)]
    assert statuses == [200, 429, 200]


def test_the_script_starts_both_and_stops_them(tmp_path: Path) -> None:
    """What it prints can be exported; when they are down nothing is left, and a second `down` is fine."""

    def script(what: str) -> str:
        done = subprocess.run(
            [sys.executable, str(ROOT / "scripts" / "servers.py"), what],
            env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        return done.stdout

    try:
        printed = script("up")
        assert script("up") == printed
        endpoint = printed.partition("STORAGE_EMULATOR_HOST=http://")[2].split()[0]
        assert ask(endpoint, "GET", "/_internal/healthcheck")[0] == 200
        assert f"AWS_ACCESS_KEY_ID={servers.ACCESS_KEY}" in printed
    finally:
        script("down")
    assert list(tmp_path.iterdir()) == []
    script("down")
    with pytest.raises(OSError):
        ask(endpoint, "GET", "/")
