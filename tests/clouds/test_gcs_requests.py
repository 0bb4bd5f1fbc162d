"""What goes over the wire to Google, how often, and what comes of answers that are late, lost, damaged or a refusal."""

from __future__ import annotations

import base64
import json
import logging
import os
import pickle
import random
import secrets
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import google_crc32c
import pytest

from casreg.backends.base import Object, Token
from casreg.backends.gcs import GCSBackend
from casreg.backends.gcs.upload import upload_of
from casreg.exceptions import (
    AlreadyExists,
    Conflict,
    NotFound,
    StorageError,
    StoragePermissionError,
    StorageUnavailableError,
)
from casreg.testing.proxy import CUT, DROP, HANG, LOSE, STALL, TRUNCATE, Fault, FaultProxy, Harm
from clouds.account import KEY, Account
from clouds.scripted import Reply, Scripted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from casreg.testing.servers import Server

pytestmark = pytest.mark.clouds

PATIENCE = 20.0
"""Seconds within which anything has to be over, with a timeout of one second and a busy machine."""


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between tries; how long a server may be silent is said by each test."""
    monkeypatch.setattr("casreg.backends.gcs.backend._FIRST_WAIT", 0.01)


@pytest.fixture
def proxy(fake_gcs: Server) -> Iterator[FaultProxy]:
    """The server, behind a proxy that harms nothing yet."""
    with FaultProxy(fake_gcs.endpoint) as proxy:
        yield proxy


@pytest.fixture
def backend(proxy: FaultProxy) -> GCSBackend:
    """A handle on a bucket of its own, behind the proxy, that has been used."""
    backend = GCSBackend(bucket_name=f"wire-{secrets.token_hex(6)}", endpoint=proxy.url)
    backend.create("there", b"0123456789")
    proxy.reset()
    return backend


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    """A server that says what it is told to."""
    with Scripted() as server:
        yield server


def hasty(backend: GCSBackend) -> GCSBackend:
    """Another handle on the same place, for servers that never answer."""
    return GCSBackend(backend.location, timeout=1.5)


def on(scripted: Scripted, **arguments: Any) -> GCSBackend:
    """A handle on that server."""
    return GCSBackend("gs://bucket/prefix", endpoint=scripted.url, timeout=1, **arguments)


USES: dict[str, Callable[[GCSBackend], object]] = {
    "get": lambda backend: backend.get("there"),
    "range": lambda backend: backend.get("there", 2, 5),
    "list": lambda backend: list(backend.list("")),
    "delete": lambda backend: backend.delete(["there"]),
    "create": lambda backend: backend.create("new", b"bytes"),
    "swap": lambda backend: backend.swap("there", b"bytes", Token("1")),
}
REPEATED = {name: USES[name] for name in ("get", "range", "list", "delete")}
SENT_ONCE = {name: USES[name] for name in ("create", "swap")}


# How many


@pytest.mark.parametrize("name", USES)
def test_each_method_is_one_request(proxy: FaultProxy, backend: GCSBackend, name: str) -> None:
    """The client libraries ask nothing beside it, in the background neither."""
    try:
        USES[name](backend)
    except Conflict:
        assert name == "swap"
    time.sleep(0.2)
    assert len(proxy.requests) == 1


def test_the_first_write_makes_the_bucket(proxy: FaultProxy, fake_gcs: Server) -> None:
    """A refused upload, the bucket, the upload again; nothing else, and nothing in the background."""
    backend = GCSBackend(bucket_name=f"made-{secrets.token_hex(6)}", endpoint=proxy.url)
    backend.create("a", b"1")
    time.sleep(0.2)
    assert [(request.method, urlsplit(request.target).path.split("/")[1]) for request in proxy.requests] == [
        ("POST", "upload"),
        ("POST", "storage"),
        ("POST", "upload"),
    ]
    assert backend.get("a").data == b"1"


def test_a_large_object_is_one_request(proxy: FaultProxy, backend: GCSBackend) -> None:
    """As large as any pack: no resumable upload, whose preconditions are checked when it begins."""
    data = os.urandom(33 << 20)
    slow = GCSBackend(backend.location)
    slow.create("pack", memoryview(data))
    assert [(request.method, request.size > len(data)) for request in proxy.requests] == [("POST", True)]
    assert slow.get("pack").data == data
    assert len(proxy.requests) == 2


def test_a_listing_is_a_request_for_a_thousand_keys(scripted: Scripted) -> None:
    """And goes on where the answer says, with the same question."""
    pages = [
        {"items": [row("prefix/a"), row("prefix/b"), row("prefix/not a key")], "nextPageToken": "more"},
        {"nextPageToken": "yet more"},
        {"items": [row("prefix/c")]},
    ]
    scripted.script = [Reply(200, json.dumps(page).encode()) for page in pages]
    assert [info.key for info in on(scripted).list("", "a")] == ["b", "c"]
    questions = [parse_qs(urlsplit(asked.target).query) for asked in scripted.asked]
    assert [question.pop("pageToken", [""]) for question in questions] == [[""], ["more"], ["yet more"]]
    assert questions[0]["maxResults"] == ["1000"]
    assert questions[0]["startOffset"] == ["prefix/a"]
    assert questions[0] == questions[1] == questions[2]


def row(name: str) -> dict[str, str]:
    """One item of a listing, as Google writes it."""
    return {"name": name, "size": "3", "generation": "7", "updated": "2026-11-22T10:31:36.400Z"}


# What is sent


def test_an_upload_says_what_it_is(scripted: Scripted) -> None:
    """Its condition, its checksum, and that no cache may keep it, in one body of a known length."""
    scripted.script = [Reply(200, b'{"generation": "8"}'), Reply(200, b'{"generation": "9"}')]
    backend = on(scripted)
    assert backend.create("refs/a", bytearray(b"the bytes")) == Token("8")
    assert backend.swap("refs/a", memoryview(b"--other bytes--")[2:-2], Token("8")) == Token("9")
    for asked, generation, data in zip(
        scripted.asked, ("0", "8"), (b"the bytes", b"other bytes"), strict=True
    ):
        query = parse_qs(urlsplit(asked.target).query)
        assert query["uploadType"] == ["multipart"]
        assert query["ifGenerationMatch"] == [generation]
        boundary = asked.headers["content-type"].partition('boundary="')[2].rstrip('"').encode()
        _, about, body, end = asked.body.split(b"--" + boundary)
        assert end == b"--\r\n"
        assert body.partition(b"\r\n\r\n")[2] == data + b"\r\n"
        crc32c = base64.b64encode(google_crc32c.value(data).to_bytes(4, "big")).decode()
        assert json.loads(about.partition(b"\r\n\r\n")[2]) == {
            "name": "prefix/refs/a",
            "contentType": "application/octet-stream",
            "cacheControl": "no-store",
            "crc32c": crc32c,
        }


def test_the_checksum_is_that_of_all_the_bytes() -> None:
    """Though it is made piece by piece."""
    data = random.Random(1).randbytes((2 << 20) + 1)
    about = json.loads(upload_of("name", data).head.split(b"\r\n")[3])
    assert about["crc32c"] == base64.b64encode(google_crc32c.value(data).to_bytes(4, "big")).decode()


def test_all_characters_of_keys_arrive(backend: GCSBackend) -> None:
    """Those that mean something in a URL, too."""
    key = "all/!#$%&'()+,-.;=@[]^_`{}~/%2F/a%20b"
    backend.create(key, b"bytes")
    assert backend.get(key).data == b"bytes"
    assert [info.key for info in backend.list("all/")] == [key]
    backend.delete([key])
    with pytest.raises(NotFound):
        backend.get(key)


def test_a_password_in_the_users_netrc_is_not_sent(
    scripted: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The libraries would send it to any server that it names, or to all."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password canary\n")
    monkeypatch.setenv("NETRC", str(netrc))
    scripted.script = [Reply(200, b"bytes", {"X-Goog-Generation": "7"})]
    on(scripted).get("a")
    assert "authorization" not in scripted.asked[0].headers


# What does not change


def test_what_a_reader_holds_is_not_sent_again(scripted: Scripted) -> None:
    """Where the server says that this generation is there, in one request: the very object that was held."""
    backend = on(scripted)
    scripted.script = [
        Reply(200, b"bytes", {"X-Goog-Generation": "7"}),
        Reply(304, b"", {"X-Goog-Generation": "7"}),
    ]
    held = backend.get("a")
    assert backend.get("a", held=held) is held
    assert parse_qs(urlsplit(scripted.asked[1].target).query)["ifGenerationNotMatch"] == ["7"]


@pytest.mark.parametrize("headers", [{}, {"X-Goog-Generation": "8"}])
def test_not_modified_alone_is_not_believed(scripted: Scripted, headers: dict[str, str]) -> None:
    """It also fits what is not there: without the generation it is asked again, and from then on without condition."""
    backend = on(scripted)
    scripted.script = [Reply(304, b"", headers), Reply(404), Reply(200, b"new", {"X-Goog-Generation": "9"})]
    held = Object(b"old", Token("7"))
    with pytest.raises(NotFound):
        backend.get("a", held=held)
    assert backend.get("a", held=held) == Object(b"new", Token("9"))
    assert "ifGenerationNotMatch" not in scripted.asked[2].target


# What fails


@pytest.mark.parametrize("name", REPEATED)
@pytest.mark.parametrize("fault", [DROP, CUT, LOSE, TRUNCATE, STALL, HANG], ids=lambda fault: fault.harm.name)
def test_one_failure_of_what_may_be_repeated_is_not_noticed(
    proxy: FaultProxy, backend: GCSBackend, name: str, fault: Fault
) -> None:
    """Reads, listings and deletions are asked again."""
    clean = REPEATED[name](backend) if name != "delete" else None
    proxy.reset(lambda request: fault if request.number == 1 else None)
    began = time.monotonic()
    assert REPEATED[name](hasty(backend)) == clean
    assert len(proxy.requests) == 2
    assert time.monotonic() - began < PATIENCE


@pytest.mark.parametrize("name", REPEATED)
@pytest.mark.parametrize("fault", [DROP, TRUNCATE, STALL], ids=lambda fault: fault.harm.name)
def test_failures_without_end_are_an_error_in_bounded_time(
    proxy: FaultProxy, backend: GCSBackend, name: str, fault: Fault
) -> None:
    """After some tries, or some time; never an answer that is none."""
    proxy.reset(lambda _: fault)
    began = time.monotonic()
    with pytest.raises(StorageUnavailableError):
        REPEATED[name](hasty(backend))
    assert time.monotonic() - began < PATIENCE


@pytest.mark.parametrize("name", REPEATED)
def test_tries_end(proxy: FaultProxy, backend: GCSBackend, name: str) -> None:
    """After five, however patient the timeout is: whoever has the wrong endpoint wants to know."""
    proxy.reset(lambda _: DROP)
    with pytest.raises(StorageUnavailableError):
        REPEATED[name](backend)
    assert len(proxy.requests) == 5


@pytest.mark.parametrize("name", SENT_ONCE)
@pytest.mark.parametrize(
    "fault",
    [
        DROP,
        CUT,
        LOSE,
        TRUNCATE,
        STALL,
        HANG,
        *(Fault(Harm.REFUSE, status) for status in (408, 409, 429, 500, 503)),
    ],
    ids=lambda fault: f"{fault.harm.name}-{fault.status}",
)
def test_writes_are_sent_once(proxy: FaultProxy, backend: GCSBackend, name: str, fault: Fault) -> None:
    """Whatever happens to them: it is an error that says that nobody knows."""
    proxy.reset(lambda _: fault)
    began = time.monotonic()
    with pytest.raises(StorageUnavailableError):
        SENT_ONCE[name](hasty(backend))
    assert len(proxy.requests) == 1
    assert time.monotonic() - began < PATIENCE


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
@pytest.mark.parametrize("name", REPEATED)
def test_a_busy_server_is_asked_again(scripted: Scripted, name: str, status: int) -> None:
    """Once it answers, nothing has happened."""
    page = Reply(200, b'{"items": []}')
    scripted.script = [
        Reply(status),
        Reply(status, b"<html>busy</html>"),
        {
            "get": Reply(200, b"0123", {"X-Goog-Generation": "7"}),
            "range": Reply(206, b"234", {"Content-Range": "bytes 2-4/10"}),
            "list": page,
            "delete": Reply(204),
        }[name],
    ]
    REPEATED[name](on(scripted))
    assert len(scripted.asked) == 3


@pytest.mark.parametrize(
    ("reply", "error", "match"),
    [
        (Reply(401), StoragePermissionError, "clock"),
        (
            Reply(403, b'{"error": {"message": "No access", "errors": []}}'),
            StoragePermissionError,
            "No access",
        ),
        (
            Reply(403, b'{"error": {"message": "slow", "errors": [{"reason": "rateLimitExceeded"}]}}'),
            StorageUnavailableError,
            "slow",
        ),
        (Reply(400, b'{"error": {"message": "odd"}}'), StorageError, "odd"),
        (Reply(400, b'{"error": "odd"}'), StorageError, "400"),
        (Reply(307, b"", {"Location": "https://elsewhere.example"}), StorageError, "endpoint"),
        (Reply(503, b"<html>page</html>"), StorageUnavailableError, "503"),
    ],
)
@pytest.mark.parametrize("name", USES)
def test_refusals_have_their_errors(
    scripted: Scripted, name: str, reply: Reply, error: type[StorageError], match: str
) -> None:
    """With what the server says, the place, and the way out."""
    scripted.script = [reply] * 5
    with pytest.raises(error, match=match) as refusal:
        USES[name](on(scripted))
    assert type(refusal.value) is error
    assert "gs://bucket/prefix" in str(refusal.value)
    assert "<html>" not in str(refusal.value)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"generation": 7}', b'{"generation": "x"}'])
def test_a_success_that_makes_no_sense_is_in_doubt(scripted: Scripted, body: bytes) -> None:
    """The write may have happened."""
    for use in SENT_ONCE.values():
        scripted.script = [Reply(200, body)]
        with pytest.raises(StorageUnavailableError, match="understood"):
            use(on(scripted))


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, b"bytes"),
        Reply(206, b"012", {"Content-Range": "bytes 0-2/10"}),
        Reply(200, b'{"items": [{"name": "prefix/a"}]}'),
        Reply(
            200,
            b'{"items": [{"name": "prefix/a", "size": "x", "generation": "1", "updated": "2026-01-01T00:00:00Z"}]}',
        ),
    ],
)
def test_answers_to_other_questions_are_not_taken(scripted: Scripted, reply: Reply) -> None:
    """A whole object without its generation, another range, a row without its parts."""
    scripted.script = [reply] * 5
    use = {b"bytes": USES["get"], b"012": USES["range"]}.get(reply.body, USES["list"])
    with pytest.raises(StorageUnavailableError, match="understood"):
        use(on(scripted))


def test_a_server_that_knows_no_ranges_is_read_all_the_same(scripted: Scripted) -> None:
    """It sends everything, and the range is cut out here."""
    scripted.script = [Reply(200, b"0123456789", {"X-Goog-Generation": "7"})]
    assert on(scripted).get("a", 2, 5) == Object(b"234", None)


def test_conditions_that_fail(scripted: Scripted) -> None:
    """412 is somebody else's doing; so is 404 of what was to be replaced."""
    scripted.script = [Reply(412), Reply(412), Reply(404)]
    backend = on(scripted)
    with pytest.raises(AlreadyExists):
        backend.create("a", b"")
    for _ in range(2):
        with pytest.raises(Conflict):
            backend.swap("a", b"", Token("7"))


@pytest.mark.parametrize("token", ["", "0", "-1", "x", "00", "1.5", "9" * 30])
def test_tokens_that_no_state_has_conflict(scripted: Scripted, token: str) -> None:
    """They are not even sent: 0 would mean "if there is none", and create."""
    with pytest.raises(Conflict):
        on(scripted).swap("a", b"", Token(token))
    assert not scripted.asked


def test_one_failed_deletion_is_told_and_the_others_happen(scripted: Scripted) -> None:
    """Each key is confirmed: whoever hears nothing may rely on it."""
    scripted.answer = lambda asked: Reply(403 if asked.target.endswith("7") else 404)
    with pytest.raises(StoragePermissionError, match="'a/7'"):
        on(scripted).delete(f"a/{number}" for number in range(20))
    assert len(scripted.asked) == 20


# Buckets and endpoints


def test_a_missing_bucket_is_not_made_when_that_is_not_wanted(fake_gcs: Server) -> None:
    """An error that says both ways out."""
    backend = GCSBackend(bucket_name=f"no-{secrets.token_hex(6)}", endpoint=fake_gcs.url, create_bucket=False)
    with pytest.raises(StorageError, match=r"no bucket.*create_bucket=False"):
        backend.create("a", b"")


@pytest.mark.parametrize(
    ("reply", "match"),
    [
        (Reply(403, b'{"error": {"code": 403, "message": "no buckets for you"}}'), "no buckets for you"),
        (Reply(400, b'{"error": {"code": 400, "message": "what a name"}}'), "what a name"),
        (Reply(503, b""), "503"),
    ],
)
def test_a_bucket_that_may_not_be_made(scripted: Scripted, reply: Reply, match: str) -> None:
    """The error names it and says why."""
    scripted.script = [Reply(404), reply]
    with pytest.raises(StorageError, match=f"making the bucket 'bucket'.*{match}"):
        on(scripted).create("a", b"")


def test_a_bucket_that_somebody_makes_meanwhile(scripted: Scripted) -> None:
    """Is the bucket; and if it is not one that we may write to, that is the error."""
    scripted.script = [Reply(404), Reply(409), Reply(200, b'{"generation": "3"}')]
    assert on(scripted).create("a", b"") == Token("3")
    scripted.script = [Reply(404), Reply(409), Reply(403)]
    with pytest.raises(StoragePermissionError, match="writing 'a'"):
        on(scripted).create("a", b"")


@pytest.mark.parametrize("name", USES)
def test_nobody_at_the_endpoint(name: str) -> None:
    """A refused connection is an error that names the place, in bounded time."""
    began = time.monotonic()
    with pytest.raises(StorageUnavailableError, match=r"localhost:9 .*refused.*endpoint"):
        USES[name](GCSBackend("gs://bucket", endpoint="localhost:9"))
    assert time.monotonic() - began < PATIENCE


@pytest.mark.parametrize("name", USES)
def test_an_endpoint_that_nobody_knows(name: str, account: Account) -> None:
    """As is a host without an address: neither Google's, nor anybody else's."""
    account.accept("token")
    began = time.monotonic()
    backend = GCSBackend("gs://bucket", endpoint="https://nobody.invalid", credentials_path=account.path)
    with pytest.raises(StorageUnavailableError, match=r"nobody\.invalid.*endpoint"):
        USES[name](backend)
    assert time.monotonic() - began < PATIENCE


def test_something_else_at_the_endpoint(scripted: Scripted) -> None:
    """A server that does not speak HTTPS is one that cannot be reached."""
    account = scripted.url.replace("http:", "https:")
    with pytest.raises(StorageUnavailableError, match="certificates"):
        GCSBackend("gs://bucket", endpoint=account).get("a")


# Accounts


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    """An account, and who gives its tokens."""
    with Scripted() as server:
        yield Account(tmp_path, server)


def test_requests_carry_the_tokens_of_the_account(scripted: Scripted, account: Account) -> None:
    """One token for many requests; and the bucket is made in the account's project."""
    account.accept("the-token")
    scripted.script = [
        Reply(404),
        Reply(200, b'{"name": "bucket"}'),
        Reply(200, b'{"generation": "3"}'),
        Reply(204),
    ]
    backend = on(scripted, credentials_path=account.path)
    backend.create("a", b"")
    backend.delete(["a"])
    assert [asked.headers["authorization"] for asked in scripted.asked] == ["Bearer the-token"] * 4
    assert "project=project-of-the-key" in scripted.asked[1].target
    assert len(account.server.asked) == 1


@pytest.mark.parametrize("name", SENT_ONCE)
def test_a_token_that_ended_early_is_replaced(scripted: Scripted, account: Account, name: str) -> None:
    """What was answered with 401 was not done, and is sent again with a new token, once."""
    account.accept("first", "second", "third")
    backend = on(scripted, credentials_path=account.path)
    scripted.script = [Reply(401), Reply(200, b'{"generation": "3"}')]
    SENT_ONCE[name](backend)
    assert [asked.headers["authorization"] for asked in scripted.asked] == ["Bearer first", "Bearer second"]
    scripted.script = [Reply(401), Reply(401)]
    with pytest.raises(StoragePermissionError, match="clock"):
        SENT_ONCE[name](backend)


@pytest.mark.parametrize("name", USES)
def test_an_account_that_gets_no_token(scripted: Scripted, account: Account, name: str) -> None:
    """The key was withdrawn, or this machine's clock is wrong: both are in the error, and the key is not."""
    refusal = (
        b'{"error": "invalid_grant", "error_description": "Invalid JWT: Token must be a short-lived token"}'
    )
    account.server.answer = lambda _: Reply(400, refusal)
    with pytest.raises(StoragePermissionError, match=r"invalid_grant.*clock") as raised:
        USES[name](on(scripted, credentials_path=account.path))
    assert not scripted.asked
    assert KEY.split("\n")[1] not in str(raised.value)


def test_a_token_server_that_is_away(scripted: Scripted, account: Account) -> None:
    """Is a failure of the network, not of the account."""
    info = json.loads(account.path.read_text())
    account.path.write_text(json.dumps({**info, "token_uri": "http://localhost:9/token"}))
    with pytest.raises(StorageUnavailableError, match="token"):
        on(scripted, credentials_path=account.path).get("a")


def test_secrets_stay_where_they_are(
    scripted: Scripted, account: Account, caplog: pytest.LogCaptureFixture
) -> None:
    """Key and token are in no log, repr or pickle, however much is logged."""
    account.accept("the-token")
    scripted.script = [Reply(200, b'{"generation": "3"}'), Reply(403)]
    backend = on(scripted, credentials_path=account.path)
    with caplog.at_level(logging.DEBUG):
        backend.create("a", b"bytes")
        with pytest.raises(StoragePermissionError) as raised:
            backend.get("a")
    everything = f"{caplog.text}{backend!r}{pickle.dumps(backend)!r}{raised.value!r}{backend.location}"
    for secret in ("the-token", KEY.split("\n")[1]):
        assert secret not in everything


def test_retries_are_logged_without_secrets(
    proxy: FaultProxy, backend: GCSBackend, caplog: pytest.LogCaptureFixture
) -> None:
    """At DEBUG, below `casreg`."""
    proxy.reset(lambda request: DROP if request.number == 1 else None)
    with caplog.at_level(logging.DEBUG, "casreg"):
        backend.get("there")
    assert [record.name for record in caplog.records if "again in" in record.getMessage()] == ["casreg.gcs"]


# Processes and threads


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
def test_a_forked_child_has_connections_of_its_own(backend: GCSBackend, fake_gcs: Server) -> None:
    """Both sides go on with the same handle, at the same time."""
    mine = backend._connection.opened()
    child = os.fork()
    if not child:
        done = False
        try:
            backend.create("by-the-child", b"1")
            done = all(backend.get("by-the-child").data == b"1" for _ in range(20))
            done = done and backend._connection.opened() is not mine
        finally:
            os._exit(0 if done else 1)
    assert all(backend.get("there").data == b"0123456789" for _ in range(20))
    assert os.waitpid(child, 0)[1] == 0
    assert backend.get("by-the-child").data == b"1"


def test_deleting_many_keys_is_a_request_each(proxy: FaultProxy, backend: GCSBackend) -> None:
    """Whoever sends it."""
    backend.delete([f"missing/{number}" for number in range(50)])
    assert sorted(request.method for request in proxy.requests) == ["DELETE"] * 50


def test_threads_keep_their_connections(backend: GCSBackend, caplog: pytest.LogCaptureFixture) -> None:
    """As many as any operation starts: none is thrown away for want of room."""
    ready = threading.Barrier(32)

    def read(_: int) -> bytes:
        ready.wait()
        return backend.get("there").data

    with caplog.at_level(logging.WARNING), ThreadPoolExecutor(32) as threads:
        assert set(threads.map(read, range(32))) == {b"0123456789"}
    assert not caplog.records
