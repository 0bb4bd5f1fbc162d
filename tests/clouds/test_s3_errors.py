"""What goes wrong between here and a bucket is told in words that help, soon, and leaves nothing half done."""

from __future__ import annotations

import datetime as dt
import time
from typing import TYPE_CHECKING, Any

import pytest

from casreg import (
    CasregError,
    InvalidArgumentError,
    NotFound,
    Registry,
    StorageError,
    StorageFullError,
    StoragePermissionError,
    StorageUnavailableError,
    UnsafeStorageError,
)
from casreg.backends.base import Token
from casreg.testing import proxy as proxies, servers
from clouds.s3_lab import backend, new_prefix, registry
from clouds.scripted import Reply, Scripted
from clouds.unended import unended

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from casreg import MinioRegistryBackend
    from casreg.testing.proxy import FaultProxy

pytestmark = pytest.mark.clouds


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    """A server that says what it is told to."""
    with Scripted() as server:
        yield server


def uses(place: MinioRegistryBackend) -> list[Callable[[], object]]:
    """Every method."""
    return [
        lambda: place.get("a"),
        lambda: place.create("a", b"x"),
        lambda: place.swap("a", b"x", Token("0")),
        lambda: list(place.list("")),
        lambda: place.delete(["a"]),
    ]


def all_fail(place: MinioRegistryBackend, error: type[CasregError], message: str, seconds: float = 5) -> None:
    """Each method raises `error`, with `message` and the server in its words, within the time."""
    for use in uses(place):
        began = time.monotonic()
        with pytest.raises(error, match=message) as failed:
            use()
        assert type(failed.value) is error
        assert place.location.partition("endpoint=")[2].partition("&")[0] in str(failed.value)
        assert time.monotonic() - began < seconds


def test_a_refused_connection() -> None:
    """Nobody listens there."""
    all_fail(backend("127.0.0.1:1"), StorageUnavailableError, "Connection refused.*does the server run")


def test_a_name_that_nobody_knows() -> None:
    """`.invalid` never resolves."""
    all_fail(backend("no-such-host.invalid"), StorageUnavailableError, "Is the endpoint right")


def test_a_server_of_something_else(fake_gcs: servers.Server) -> None:
    """It answers, and 404 of all things, which must not look like an empty registry."""
    all_fail(backend(fake_gcs.endpoint), StorageUnavailableError, "right endpoint|Try again later")
    with pytest.raises(StorageUnavailableError):
        registry(fake_gcs.endpoint).list_objects()


def test_a_page_of_something_else(s3_proxy: FaultProxy) -> None:
    """A web server that answers everything with a page is no S3, however content it is."""
    s3_proxy.reset(
        lambda request: proxies.Fault(proxies.Harm.REFUSE, 200, b"<html>Welcome</html>", "text/html")
    )
    all_fail(backend(s3_proxy.endpoint), StorageUnavailableError, "none of S3's")


def test_https_to_a_server_of_plain_http(seaweedfs: servers.Server) -> None:
    """The way out is named."""
    all_fail(
        backend(seaweedfs.endpoint, secure=True),
        StorageUnavailableError,
        "no secure connection.*secure=False",
    )


@pytest.mark.parametrize(
    "keys", [{"access_key": "nobody"}, {"secret_key": "wrong"}], ids=["access", "secret"]
)
def test_a_bad_key(seaweedfs: servers.Server, keys: dict[str, str]) -> None:
    """Neither of the two is shown."""
    all_fail(backend(seaweedfs.endpoint, **keys), StoragePermissionError, "does not take these credentials")


def test_no_keys_at_all(seaweedfs: servers.Server) -> None:
    """Where they are looked for is said, and no server is asked."""
    place = backend(seaweedfs.endpoint, access_key=None, secret_key=None)
    all_fail(place, StoragePermissionError, "AWS_ACCESS_KEY_ID", seconds=1)


def test_no_right_to_write(seaweedfs: servers.Server) -> None:
    """Reading goes on; writing and deleting say what is missing."""
    place = backend(seaweedfs.endpoint)
    place.create("a", b"hello")
    reader = backend(
        seaweedfs.endpoint,
        place.location.partition("/tests/")[2].partition("?")[0],
        access_key=servers.READER_KEY,
    )
    assert reader.get("a").data == b"hello"
    for use in (
        lambda: reader.create("b", b"x"),
        lambda: reader.swap("a", b"x", Token("0")),
        lambda: reader.delete(["a"]),
    ):
        with pytest.raises(StoragePermissionError, match="policy"):
            use()
    assert place.get("a").data == b"hello"


def test_no_right_to_write_ends_a_save(seaweedfs: servers.Server) -> None:
    """At once, of a new name and of one that is there; others see what they saw before, and reading goes on."""
    prefix = new_prefix()
    others = registry(seaweedfs.endpoint, prefix)
    others.save("there", {"x": 0})
    before = [row.key for row in others.backend.list("")]
    mine = registry(seaweedfs.endpoint, prefix, access_key=servers.READER_KEY)
    for name in ("new", "there"):
        began = time.monotonic()
        with pytest.raises(StoragePermissionError):
            mine.save(name, b"x" * 100_000)
        assert time.monotonic() - began < 5
    with pytest.raises(StoragePermissionError):
        mine.delete("there")
    assert others.list_objects() == mine.list_objects() == ["there"]
    assert mine.list_versions("there") == ["1.0.0"]
    assert mine.load("there") == {"x": 0}
    assert [row.key for row in others.backend.list("")] == before


def test_a_missing_bucket_that_may_not_be_made(seaweedfs: servers.Server) -> None:
    """Not taken for an empty one, by any part of the registry."""
    place = backend(seaweedfs.endpoint, bucket="missing-bucket", create_bucket=False)
    for use in (lambda: place.get("a"), lambda: list(place.list(""))):
        with pytest.raises(StorageUnavailableError, match=r"no such bucket.*create_bucket"):
            use()
    began = time.monotonic()
    for act in (
        lambda: Registry(place).save("a", {"x": 1}),
        lambda: Registry(place).load("a"),
        lambda: Registry(place).list_objects(),
    ):
        with pytest.raises(StorageUnavailableError, match="no such bucket"):
            act()
    assert time.monotonic() - began < 5
    with pytest.raises(NotFound):
        backend(seaweedfs.endpoint, bucket="missing-bucket").get("a")


def test_a_bucket_that_is_forbidden_to_make(s3_proxy: FaultProxy) -> None:
    """The error says which, and that it has to be made."""
    s3_proxy.reset(
        lambda request: (
            proxies.refusal(403, "AccessDenied")
            if request.target.count("/") == 1
            else proxies.refusal(404, "NoSuchBucket")
        )
    )
    with pytest.raises(StoragePermissionError, match=r"no bucket 'tests'.*may not make it.*have it made"):
        backend(s3_proxy.endpoint).create("a", b"x")


def test_a_clock_out_of_step(seaweedfs: servers.Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forty minutes; the server is right."""
    import minio.time

    place, now = backend(seaweedfs.endpoint), minio.time.utcnow
    monkeypatch.setattr(minio.time, "utcnow", lambda: now() + dt.timedelta(minutes=40))
    all_fail(place, StoragePermissionError, "Set the clock of this machine")


@pytest.mark.parametrize(
    ("status", "code", "error", "message"),
    [
        (403, "RequestTimeTooSkewed", StoragePermissionError, "Set the clock"),
        (400, "ExpiredToken", StoragePermissionError, "credentials"),
        (403, "AccessDenied", StoragePermissionError, "policy"),
        (403, "", StoragePermissionError, "policy"),
        (301, "PermanentRedirect", StorageUnavailableError, "another region"),
        (400, "AuthorizationHeaderMalformed", StorageUnavailableError, "another region"),
        (507, "InsufficientStorage", StorageFullError, "Make room"),
        (403, "QuotaExceeded", StorageFullError, "Make room"),
        (501, "NotImplemented", UnsafeStorageError, "does not know conditional writes"),
        (503, "SlowDown", StorageUnavailableError, "Try again later"),
        (400, "InvalidArgument", StorageUnavailableError, "InvalidArgument"),
    ],
)
def test_refusals_become_errors_of_casreg(
    s3_proxy: FaultProxy, status: int, code: str, error: type[StorageError], message: str
) -> None:
    """Each with what to do."""
    body = proxies.refusal(status, code).body if code else b""
    s3_proxy.reset(lambda request: proxies.Fault(proxies.Harm.REFUSE, status, body))
    with pytest.raises(error, match=message) as failed:
        backend(s3_proxy.endpoint).create("a", b"x")
    assert type(failed.value) is error


@pytest.mark.parametrize("fault", [proxies.STALL, proxies.HANG], ids=lambda fault: fault.harm.name)
def test_a_server_that_is_silent(s3_proxy: FaultProxy, fault: proxies.Fault) -> None:
    """Nobody waits longer than the timeout, twice where asking again is safe."""
    place = backend(s3_proxy.endpoint, timeout=0.5)
    place.create("a", b"hello")
    s3_proxy.reset(lambda request: fault)
    all_fail(place, StorageUnavailableError, "timed out", seconds=3)


def test_a_save_to_a_silent_server_ends(s3_proxy: FaultProxy) -> None:
    """With an error that says so."""
    held = registry(s3_proxy.endpoint, timeout=0.3)
    s3_proxy.reset(lambda request: proxies.STALL)
    began = time.monotonic()
    with pytest.raises(StorageUnavailableError, match="timed out"):
        held.save("a", {"x": 1})
    assert time.monotonic() - began < 10


def test_errors_carry_their_cause(seaweedfs: servers.Server) -> None:
    """What happened below is there for whoever has to find out."""
    with pytest.raises(StorageUnavailableError) as failed:
        backend("127.0.0.1:1").get("a")
    causes: list[Any] = [failed.value]
    while causes[-1] is not None:
        causes.append(causes[-1].__cause__)
    assert any(isinstance(cause, ConnectionRefusedError) for cause in causes) or len(causes) > 3


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_server_that_sends_elsewhere(scripted: Scripted, status: int) -> None:
    """Nobody follows, and nobody is told of regions where none was named; a password in the address is not shown."""
    location = "https://user:hunter2@elsewhere.example/tests?token=hunter2"
    scripted.answer = lambda _: Reply(status, b"<html>moved</html>", {"Location": location})
    place = backend(scripted.url)
    all_fail(place, StorageUnavailableError, "Give the endpoint that answers itself")
    with pytest.raises(StorageUnavailableError) as failed:
        place.get("a")
    assert "region" not in str(failed.value)
    assert "elsewhere.example" in str(failed.value)
    assert "hunter2" not in str(failed.value)


def test_a_bucket_in_another_region(scripted: Scripted) -> None:
    """The server says which."""
    scripted.answer = lambda _: Reply(301, b"", {"x-amz-bucket-region": "eu-north-1"})
    with pytest.raises(StorageUnavailableError, match="give region='eu-north-1'"):
        backend(scripted.url).get("a")


@pytest.mark.parametrize("bucket", ["My_Bucket", "192.168.1.1", "a..b", "a.-b"])
def test_a_bucket_with_a_name_that_none_can_have(scripted: Scripted, bucket: str) -> None:
    """It may be there, of old; but if it is not, it is not made, and that is an error of casreg's."""
    body = proxies.refusal(404, "NoSuchBucket").body
    scripted.answer = lambda _: Reply(404, body)
    with pytest.raises(InvalidArgumentError, match=r"none can be made.*name right"):
        backend(scripted.url, bucket=bucket).create("a", b"x")
    assert [asked.method for asked in scripted.asked] == ["PUT"]


@pytest.mark.parametrize("endpoint", ["bucket.s3.amazonaws.com", "minio:99999"])
def test_an_endpoint_that_cannot_be(endpoint: str) -> None:
    """An error of casreg's at the first use, before anybody is asked."""
    place = backend(endpoint, secure=True)
    for use in uses(place):
        with pytest.raises(InvalidArgumentError, match=r"cannot be the endpoint of s3://tests"):
            use()


def test_an_answer_that_may_have_been_cut_is_none() -> None:
    """Without a length, half of it looks like all: it is asked for again, and never called damage of what is stored."""
    with unended(b'HTTP/1.1 200 OK\r\nETag: "e"\r\n', b"half of it") as url:
        place = backend(url)
        for use in (lambda: place.get("a"), lambda: place.get("a", 1, 3), lambda: list(place.list(""))):
            with pytest.raises(StorageUnavailableError, match="may have been cut"):
                use()


def test_a_bucket_that_an_endpoint_cannot_have() -> None:
    """The SDK refuses it with an error of its own; ours says what, and nobody is asked."""
    place = backend("s3-accelerate.amazonaws.com", bucket="a.b.c", secure=True, region="eu-west-1")
    for use in uses(place):
        with pytest.raises(InvalidArgumentError, match=r"'a\.b\.c' at .*accelerate.*endpoint"):
            use()


def test_an_answer_to_another_question_is_not_taken(scripted: Scripted) -> None:
    """Another range, or a part where all was asked for."""
    scripted.answer = lambda _: Reply(206, b"bytes", {"Content-Range": "bytes 50-54/100", "ETag": '"e"'})
    place = backend(scripted.url)
    for start in (0, 3):
        with pytest.raises(StorageUnavailableError, match="another range"):
            place.get("a", start, 8)
    with pytest.raises(StorageUnavailableError, match="206 for all of"):
        place.get("a")
