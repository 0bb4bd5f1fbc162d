"""What is no answer of Google's is not taken for one: nothing is called missing that somebody else does not have."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import pytest

from casreg import (
    GCPRegistryBackend,
    NotFound,
    Registry,
    StorageError,
    StoragePermissionError,
    StorageUnavailableError,
)
from casreg.backends.base import Token
from casreg.backends.gcs.upload import upload_of
from clouds.scripted import Reply, Scripted
from clouds.tracebacks import variables_of
from clouds.unended import unended

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from casreg.testing.servers import Server

pytestmark = pytest.mark.clouds


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    """A server that says what it is told to."""
    with Scripted() as server:
        yield server


USES: dict[str, Callable[[GCPRegistryBackend], object]] = {
    "get": lambda backend: backend.get("a"),
    "range": lambda backend: backend.get("a", 2, 5),
    "list": lambda backend: list(backend.list("")),
    "delete": lambda backend: backend.delete(["a"]),
    "create": lambda backend: backend.create("a", b"bytes"),
    "swap": lambda backend: backend.swap("a", b"bytes", Token("1")),
}


@pytest.mark.parametrize(
    "body",
    [
        b"<!doctype html><title>404 Not Found</title>",
        b"\n<?xml version='1.0'?><Error><Code>NoSuchBucket</Code></Error>",
        b'{"detail": "Not Found"}',
    ],
)
@pytest.mark.parametrize("name", USES)
def test_the_404_of_another_server_is_no_missing_object(scripted: Scripted, name: str, body: bytes) -> None:
    """Else a wrong endpoint would look like a registry that is empty."""
    scripted.answer = lambda _: Reply(404, body)
    with pytest.raises(StorageError, match="no endpoint of Google Cloud Storage") as failed:
        USES[name](GCPRegistryBackend("gs://bucket", endpoint=scripted.url))
    assert type(failed.value) is StorageError
    assert len(scripted.asked) == 1


def test_a_server_of_s3_is_no_empty_registry(seaweedfs: Server) -> None:
    """Nor does it look like one that anything could be saved to."""
    registry = Registry(f"gs://bucket?endpoint={seaweedfs.url}")
    for act in (registry.list_objects, lambda: registry.load("a"), lambda: registry.save("a", 1)):
        with pytest.raises(StorageError, match=r"gs://bucket"):
            act()


def test_a_bucket_that_is_missing_and_is_not_to_be_made(fake_gcs: Server) -> None:
    """Is no registry that is empty: whoever says `create_bucket=False` has one, and mistyped its name."""
    place = GCPRegistryBackend(
        bucket_name=f"no-{secrets.token_hex(6)}", endpoint=fake_gcs.url, create_bucket=False
    )
    registry = Registry(place)
    for act in (
        lambda: place.get("a"),
        lambda: list(place.list("")),
        lambda: registry.load("a"),
        registry.list_objects,
        lambda: registry.save("a", 1),
    ):
        with pytest.raises(StorageError, match=r"no bucket.*create_bucket=False") as failed:
            act()
        assert not isinstance(failed.value, NotFound)


def test_a_bucket_that_is_there_is_looked_for_once(scripted: Scripted) -> None:
    """Then what is missing is an object."""
    page = Reply(200, b"{}")
    scripted.script = [Reply(404), page, Reply(404)]
    place = GCPRegistryBackend("gs://bucket", endpoint=scripted.url, create_bucket=False)
    for _ in range(2):
        with pytest.raises(NotFound):
            place.get("a")
    assert len(scripted.asked) == 3


def test_an_upload_is_handed_over_in_pieces() -> None:
    """The time that connecting may take is that of each: in one, a pack would need a line of 27 Mbit/s."""
    data = bytes(range(256)) * 4321
    upload = upload_of("name", memoryview(data))
    pieces = list(upload)
    assert max(map(len, pieces)) <= 256 * 1024
    assert b"".join(pieces) == upload.head + data + upload.tail
    assert len(upload) == sum(map(len, pieces))


@pytest.mark.parametrize(
    "content",
    [
        '{"type": "service_account", "private_key": "hunter2", "client_email": "a@b", "token_uri": "https://c"}',
        '{"type": "authorized_user", "client_secret": "hunter2"}',
        '["hunter2"',
    ],
)
def test_a_damaged_key_stands_in_no_variable_that_is_shown(tmp_path: Path, content: str) -> None:
    """Some tools print a traceback with the variables of each frame, and those of its causes."""
    path = tmp_path / "key.json"
    path.write_text(content)
    with pytest.raises(StoragePermissionError, match="damaged") as failed:
        GCPRegistryBackend("gs://bucket", credentials_path=path).get("a")
    assert "hunter2" not in variables_of(failed.value, __file__)


def test_an_answer_that_may_have_been_cut_is_none() -> None:
    """Without a length, half of it looks like all: it is asked for again, and never called damage of what is stored."""
    with unended(b"HTTP/1.1 200 OK\r\nX-Goog-Generation: 7\r\n", b"half of it") as url:
        for name in ("get", "range", "list"):
            with pytest.raises(StorageUnavailableError, match="may have been cut"):
                USES[name](GCPRegistryBackend("gs://bucket", endpoint=url, timeout=1))


@pytest.mark.parametrize("content", [None, "{", '{"type": "service_account", "private_key": "hunter2"}'])
def test_ambient_credentials_that_cannot_be_read_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    """The variable is set, so to say that it should be helps nobody; what the file holds stands nowhere."""
    path = tmp_path / "ambient.json"
    if content is not None:
        path.write_text(content)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    with pytest.raises(StoragePermissionError, match=r"names '.*ambient\.json'") as failed:
        GCPRegistryBackend("gs://bucket").get("a")
    assert "hunter2" not in variables_of(failed.value, __file__)
