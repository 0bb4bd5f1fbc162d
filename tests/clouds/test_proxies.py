"""Proxies that the environment names are used, as by all other programs, and never for a server on this machine."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest

from casreg import GCPRegistryBackend, InvalidArgumentError, StorageUnavailableError
from casreg.backends.s3.place import place_of
from casreg.backends.s3.proxies import proxy_for
from clouds.s3_lab import backend
from clouds.scripted import Reply, Scripted

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.clouds

VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may be behind one."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    """A proxy that answers by itself."""
    with Scripted() as server:
        server.answer = lambda _: Reply(200, b"bytes", {"ETag": '"e"', "X-Goog-Generation": "7"})
        yield server


def test_s3_is_asked_by_way_of_the_proxy(scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the user and password that the environment has for it."""
    monkeypatch.setenv("HTTP_PROXY", scripted.url.replace("http://", "http://me:pass%40word@"))
    place = backend("far.invalid:9000", "p")
    assert place.get("a").data == b"bytes"
    assert scripted.asked[0].target == "http://far.invalid:9000/tests/p/a"
    said = scripted.asked[0].headers["proxy-authorization"].removeprefix("Basic ")
    assert base64.b64decode(said) == b"me:pass@word"


def test_a_server_that_needs_no_proxy_is_asked_itself(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`NO_PROXY`."""
    monkeypatch.setenv("HTTP_PROXY", scripted.url)
    monkeypatch.setenv("NO_PROXY", "invalid")
    with pytest.raises(StorageUnavailableError, match="resolve"):
        backend("far.invalid:9000").create("a", b"x")
    assert not scripted.asked


def test_no_proxy_leads_to_this_machine(scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    """On either cloud: those are servers for tests, and the proxy of a company knows none of them."""
    for name in VARIABLES[:3]:
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert backend(scripted.url).get("a").data == b"bytes"
    assert backend(scripted.url.replace("127.0.0.1", "localhost")).get("a").data == b"bytes"
    assert GCPRegistryBackend("gs://bucket", endpoint=scripted.url).get("a").data == b"bytes"


@pytest.mark.parametrize(
    ("variables", "secure", "url"),
    [
        ({"HTTPS_PROXY": "http://one:1", "HTTP_PROXY": "http://two:2"}, True, "http://one:1"),
        ({"HTTPS_PROXY": "http://one:1", "HTTP_PROXY": "http://two:2"}, False, "http://two:2"),
        ({"HTTPS_PROXY": "one:1"}, True, "http://one:1"),
        ({"HTTPS_PROXY": "https://user@one:1"}, True, "https://one:1"),
        ({"ALL_PROXY": "http://one:1"}, True, "http://one:1"),
        ({"HTTPS_PROXY": "http://one:1"}, False, None),
        ({"HTTPS_PROXY": "http://one:1", "NO_PROXY": "amazonaws.com"}, True, None),
        ({"HTTPS_PROXY": "http://one:1", "NO_PROXY": "*"}, True, None),
        ({}, True, None),
    ],
)
def test_which_proxy_it_is(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], secure: bool, url: str | None
) -> None:
    """By the scheme of the endpoint; without one of its own, the one for all."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    place = place_of(
        None, endpoint="s3.amazonaws.com", bucket="bucket", secure=secure, region=None, prefix=""
    )
    found = proxy_for(place)
    assert (found and found.url) == url


def test_a_proxy_of_another_kind_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the way out, and not the password."""
    monkeypatch.setenv("ALL_PROXY", "socks5://me:hunter2@one:1")
    with pytest.raises(InvalidArgumentError, match="NO_PROXY") as failed:
        backend("far.invalid:9000").get("a")
    assert "hunter2" not in str(failed.value)


def test_the_password_of_a_proxy_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """In no representation."""
    monkeypatch.setenv("HTTPS_PROXY", "http://me:hunter2@one:1")
    place = place_of(None, endpoint="s3.amazonaws.com", bucket="bucket", secure=None, region=None, prefix="")
    assert repr(proxy_for(place)) == "Proxy('http://one:1')"
