"""What goes wrong between here and a bucket of Google's ends a save soon, in words that help, and leaves nothing half done."""

from __future__ import annotations

import json
import secrets
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest

from casreg import (
    CasregError,
    GCPRegistryBackend,
    Registry,
    StorageError,
    StoragePermissionError,
    StorageUnavailableError,
)
from casreg.testing.proxy import HANG, STALL, Fault, FaultProxy, Harm
from clouds.account import Account
from clouds.scripted import Reply, Scripted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from casreg.testing.proxy import Request
    from casreg.testing.servers import Server

pytestmark = pytest.mark.clouds

PATIENCE = 20.0
"""Seconds within which anything has to be over, on a busy machine."""

FORBIDDEN = Fault(
    Harm.REFUSE,
    403,
    json.dumps({"error": {"code": 403, "message": "somebody does not have storage.objects.create"}}).encode(),
    "application/json",
)


@pytest.fixture
def proxy(fake_gcs: Server) -> Iterator[FaultProxy]:
    """The server, behind a proxy that harms nothing yet."""
    with FaultProxy(fake_gcs.endpoint) as proxy:
        yield proxy


@pytest.fixture
def bucket() -> str:
    """A name that no bucket has yet."""
    return f"errors-{secrets.token_hex(6)}"


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    """A server that says what it is told to."""
    with Scripted() as server:
        yield server


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    """An account, and who gives its tokens."""
    with Scripted() as server:
        yield Account(tmp_path, server)


def on(url: str, bucket: str = "bucket", timeout: float = 5, **arguments: object) -> Registry:
    """A registry without a cache."""
    backend = GCPRegistryBackend(bucket_name=bucket, endpoint=url, timeout=timeout, **arguments)  # type: ignore[arg-type]
    return Registry(backend, cache=False)


def fails_soon(use: Callable[[], object], error: type[CasregError], match: str) -> None:
    """It raises just this, within the time."""
    began = time.monotonic()
    with pytest.raises(error, match=match) as failed:
        use()
    assert type(failed.value) is error
    assert time.monotonic() - began < PATIENCE


def all_fail_soon(registry: Registry, error: type[CasregError], match: str) -> None:
    """Saving, loading and listing raise just this, each within the time."""
    fails_soon(lambda: registry.save("new", {"x": 1}), error, match)
    fails_soon(lambda: registry.load("there"), error, match)
    fails_soon(registry.list_objects, error, match)


def no_writes(request: Request) -> Fault | None:
    """The plan of an account that may read."""
    return FORBIDDEN if request.method in ("POST", "DELETE") else None


def no_replacing(request: Request) -> Fault | None:
    """The plan of an account that may create objects and, since that needs the right to delete, replace none."""
    replaces = request.method == "POST" and "ifGenerationMatch=0" not in request.target
    return FORBIDDEN if replaces or request.method == "DELETE" else None


@pytest.mark.parametrize("plan", [no_writes, no_replacing])
def test_no_right_to_write_ends_a_save(
    proxy: FaultProxy, fake_gcs: Server, bucket: str, plan: Callable[[Request], Fault | None]
) -> None:
    """At once, to a new name and to one that is there; others see what they saw before, and reading goes on."""
    mine, others = on(proxy.url, bucket), on(fake_gcs.url, bucket)
    mine.save("there", {"x": 0})
    proxy.reset(plan)
    for name in ("new", "there"):
        save = partial(mine.save, name, b"x" * 100_000)
        fails_soon(save, StoragePermissionError, r"may not do that.*docs/backends\.md")
    fails_soon(lambda: mine.delete("there"), StoragePermissionError, "may not do that")
    assert others.list_objects() == mine.list_objects() == ["there"]
    assert others.list_versions("there") == ["1.0.0"]
    assert mine.load("there") == {"x": 0}
    proxy.reset()
    assert mine.save("new", 1) == "1.0.0"
    assert mine.save("there", {"x": 1}) == "1.0.1"


def test_no_right_to_write_where_nothing_was_written(
    proxy: FaultProxy, fake_gcs: Server, bucket: str
) -> None:
    """The first save of all says so, too, and nothing is added to the bucket."""
    GCPRegistryBackend(bucket_name=bucket, prefix="other", endpoint=fake_gcs.url).create("a", b"")
    proxy.reset(no_writes)
    mine = on(proxy.url, bucket)
    fails_soon(lambda: mine.save("new", 1), StoragePermissionError, "may not do that")
    assert mine.list_objects() == []
    there = GCPRegistryBackend(bucket_name=bucket, endpoint=fake_gcs.url).list("")
    assert [info.key for info in there] == ["other/a"]


def test_a_missing_bucket_that_may_not_be_made(fake_gcs: Server, bucket: str) -> None:
    """Not taken for an empty one by any part of the registry, and not made."""
    all_fail_soon(
        on(fake_gcs.url, bucket, create_bucket=False), StorageError, r"no bucket.*create_bucket=False"
    )
    assert not (fake_gcs.folder / "data" / bucket).exists()


def test_a_server_of_something_else(scripted: Scripted) -> None:
    """It answers, and 404 of all things, which must not look like an empty registry."""
    page = Reply(404, b"<!doctype html><title>Not found</title>", {"Content-Type": "text/html"})
    scripted.answer = lambda _: page
    all_fail_soon(on(scripted.url), StorageError, "endpoint")


def test_an_endpoint_of_s3(seaweedfs: Server) -> None:
    """As a server of something else: the error names the place."""
    registry = on(seaweedfs.url)
    uses: tuple[Callable[[], object], ...] = (
        lambda: registry.save("new", 1),
        lambda: registry.load("new"),
        registry.list_objects,
    )
    for use in uses:
        began = time.monotonic()
        with pytest.raises(StorageError, match=seaweedfs.endpoint):
            use()
        assert time.monotonic() - began < PATIENCE


def test_nobody_at_the_endpoint() -> None:
    """A refused connection, at each use."""
    all_fail_soon(
        on("http://localhost:9", timeout=1), StorageUnavailableError, r"localhost:9 .*refused.*endpoint"
    )


@pytest.mark.parametrize(
    "says",
    [
        "Invalid JWT: Token must be a short-lived token and in a reasonable timeframe",
        "Invalid JWT Signature.",
    ],
    ids=["clock", "key"],
)
def test_a_clock_out_of_step_and_a_bad_key(scripted: Scripted, account: Account, says: str) -> None:
    """Google says both when it is asked for a token; the storage itself is never asked."""
    refusal = json.dumps({"error": "invalid_grant", "error_description": says}).encode()
    account.server.answer = lambda _: Reply(400, refusal)
    all_fail_soon(
        on(scripted.url, credentials_path=account.path), StoragePermissionError, "this key.*clock is right"
    )
    assert not scripted.asked


def test_a_token_that_the_storage_does_not_take(scripted: Scripted, account: Account) -> None:
    """However often it is replaced."""
    account.accept(*(f"token-{number}" for number in range(100)))
    scripted.answer = lambda _: Reply(401)
    all_fail_soon(
        on(scripted.url, credentials_path=account.path),
        StoragePermissionError,
        "does not know these credentials",
    )
    assert {asked.method for asked in scripted.asked} == {"GET"}


@pytest.mark.parametrize("fault", [STALL, HANG], ids=lambda fault: fault.harm.name)
def test_a_silent_server(proxy: FaultProxy, fake_gcs: Server, bucket: str, fault: Fault) -> None:
    """Nobody waits without end, and what others see is what it was."""
    others = on(fake_gcs.url, bucket)
    others.save("there", {"x": 0})
    proxy.reset(lambda _: fault)
    all_fail_soon(on(proxy.url, bucket, timeout=0.3), StorageUnavailableError, "no answer within 0.3 s")
    assert others.list_objects() == ["there"]
    assert others.list_versions("there") == ["1.0.0"]
