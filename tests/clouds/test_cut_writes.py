"""Writes whose process dies between the head of the request and its body."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest
from urllib3.connection import HTTPConnection

from casreg.exceptions import NotFound, StorageUnavailableError
from places import CLOUDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from places import Places

pytestmark = pytest.mark.clouds

send = HTTPConnection.send


def die_behind_the_head(connection: HTTPConnection, data: Any) -> None:
    """Send what begins a request; instead of what follows, end the connection, and wait until the server has acted."""
    if bytes(data[:5]) in {b"PUT /", b"POST "}:
        send(connection, data)
        return
    assert connection.sock is not None
    connection.sock.shutdown(socket.SHUT_WR)
    while connection.sock.recv(65536):
        pass
    raise ConnectionResetError("as if killed")


@pytest.mark.parametrize("kind", CLOUDS)
@pytest.mark.parametrize("size", [400, 3_000_000])
def test_a_write_without_a_body_writes_nothing(
    places_of: Callable[[str], Places], monkeypatch: pytest.MonkeyPatch, kind: str, size: int
) -> None:
    """SeaweedFS would take it for an empty object, and empty a ref, if the head did not say what has to come.

    Of what is new and large it does: packs, which nobody builds on before they are acknowledged.
    """
    place = places_of(kind).new()
    token = place.create("refs/there", b"before")
    writes: list[Callable[[], object]] = [
        lambda: place.create("refs/new", bytes(min(size, 1024 * 1024))),
        lambda: place.swap("refs/there", bytes(size), token),
    ]
    with monkeypatch.context() as patch:
        patch.setattr(HTTPConnection, "send", die_behind_the_head)
        for write in writes:
            with pytest.raises(StorageUnavailableError):
                write()
    assert place.get("refs/there").data == b"before"
    with pytest.raises(NotFound):
        place.get("refs/new")
