"""What goes over the wire: each write once, with its condition, in pieces that a slow line can send."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from casreg import (
    AlreadyExists,
    Conflict,
    NotFound,
    StoragePermissionError,
    StorageUnavailableError,
    UnsafeStorageError,
)
from casreg.backends.base import Token
from casreg.backends.s3.wire import _Pieces
from casreg.repository.probe import probe
from casreg.testing import proxy as proxies, servers
from clouds.s3_lab import backend, new_prefix

if TYPE_CHECKING:
    from casreg.testing.proxy import FaultProxy, Request

pytestmark = pytest.mark.clouds


def test_a_create_has_its_condition_as_a_header(s3_proxy: FaultProxy) -> None:
    """Not as metadata, which would overwrite without a word; it is signed, and a second one is refused with 412."""
    place = backend(s3_proxy.endpoint)
    place.create("a", b"first")
    with pytest.raises(AlreadyExists):
        place.create("a", b"second")
    for request in s3_proxy.requests:
        assert request.method == "PUT"
        assert request.headers["if-none-match"] == "*"
        assert "if-none-match" in request.headers["authorization"]
        assert not [name for name in request.headers if name.startswith("x-amz-meta-")]
    assert len(s3_proxy.requests) == 2


def test_a_swap_has_its_condition_as_a_header(s3_proxy: FaultProxy) -> None:
    """With the token in quotes."""
    place = backend(s3_proxy.endpoint)
    token = place.create("a", b"first")
    place.swap("a", b"second", token)
    with pytest.raises(Conflict):
        place.swap("a", b"third", token)
    assert [request.headers.get("if-match") for request in s3_proxy.requests] == [None, *[f'"{token}"'] * 2]


@pytest.mark.parametrize("status", [412, 404])
def test_a_swap_that_is_refused_as_missing_conflicts(s3_proxy: FaultProxy, status: int) -> None:
    """S3 says 404 where others say 412."""
    s3_proxy.reset(
        lambda request: proxies.refusal(status, "NoSuchKey" if status == 404 else "PreconditionFailed")
    )
    with pytest.raises(Conflict):
        backend(s3_proxy.endpoint).swap("a", b"x", Token("0"))


@pytest.mark.parametrize("status", [409, 429, 500, 503])
@pytest.mark.parametrize("after", [False, True])
def test_a_write_in_doubt_is_sent_once(s3_proxy: FaultProxy, status: int, after: bool) -> None:
    """Whoever asked has to read: sent again, it would meet itself."""
    place = backend(s3_proxy.endpoint)
    s3_proxy.reset(lambda request: proxies.refusal(status, after=after))
    with pytest.raises(StorageUnavailableError):
        place.create("a", b"x")
    with pytest.raises(StorageUnavailableError):
        place.swap("a", b"y", Token("0"))
    assert len(s3_proxy.requests) == 2


@pytest.mark.parametrize(
    "fault", [proxies.DROP, proxies.CUT, proxies.LOSE], ids=lambda fault: fault.harm.name
)
def test_a_write_whose_connection_breaks_is_sent_once(s3_proxy: FaultProxy, fault: proxies.Fault) -> None:
    """Neither the SDK nor what it stands on may send it again."""
    place = backend(s3_proxy.endpoint)
    s3_proxy.reset(lambda request: fault)
    with pytest.raises(StorageUnavailableError):
        place.create("a", b"x" * 1000)
    assert len(s3_proxy.requests) == 1
    s3_proxy.reset()
    if fault is proxies.LOSE:
        assert place.get("a").data == b"x" * 1000
    else:
        with pytest.raises(NotFound):
            place.get("a")


@pytest.mark.parametrize(
    "fault",
    [
        proxies.DROP,
        proxies.LOSE,
        proxies.TRUNCATE,
        proxies.refusal(503),
        proxies.refusal(429),
        proxies.refusal(500),
    ],
    ids=lambda fault: f"{fault.harm.name}-{fault.status}",
)
def test_reading_listing_and_deleting_are_tried_again(s3_proxy: FaultProxy, fault: proxies.Fault) -> None:
    """Three failures in a row are overcome, since nothing is done twice by doing it again."""
    place = backend(s3_proxy.endpoint)
    place.create("a", b"hello")
    fail = lambda request: fault if request.number <= 3 else None  # noqa: E731
    s3_proxy.reset(fail)
    assert place.get("a").data == b"hello"
    s3_proxy.reset(fail)
    assert place.get("a", 1, 3).data == b"el"
    s3_proxy.reset(fail)
    assert [row.key for row in place.list("")] == ["a"]
    s3_proxy.reset(fail)
    place.delete(["a"])
    assert len(s3_proxy.requests) == 4
    assert list(place.list("")) == []


def test_what_did_not_change_is_not_sent_again(s3_proxy: FaultProxy) -> None:
    """The server is asked with what is held, and what is held comes back."""
    place = backend(s3_proxy.endpoint)
    place.create("a", b"x" * 1000)
    held = place.get("a")
    assert place.get("a", held=held) is held
    assert s3_proxy.requests[-1].headers["if-none-match"] == f'"{held.token}"'


def test_deleted_keys_are_confirmed_by_name(s3_proxy: FaultProxy) -> None:
    """An answer that forgets a key is no answer for it: it is asked for again, and at last an error."""
    place = backend(s3_proxy.endpoint)
    place.create("a", b"")
    nothing = b"<DeleteResult></DeleteResult>"
    s3_proxy.reset(
        lambda request: proxies.Fault(proxies.Harm.REFUSE, 200, nothing) if request.number == 1 else None
    )
    place.delete(["a"])
    assert list(place.list("")) == []
    s3_proxy.reset(lambda request: proxies.Fault(proxies.Harm.REFUSE, 200, nothing))
    with pytest.raises(StorageUnavailableError, match="not confirmed"):
        place.delete(["a"])


def test_more_keys_than_one_request_takes_are_deleted(s3_proxy: FaultProxy) -> None:
    """A thousand each."""
    place = backend(s3_proxy.endpoint)
    place.delete(f"many/{number}" for number in range(2001))
    assert [request.method for request in s3_proxy.requests] == ["POST"] * 3


def test_a_bucket_is_made_by_the_first_write(s3_proxy: FaultProxy) -> None:
    """When the server says that there is none, and then the write is sent once more."""

    def no_bucket_yet(request: Request) -> proxies.Fault | None:
        return proxies.refusal(404, "NoSuchBucket") if request.number == 1 else None

    place = backend(s3_proxy.endpoint, bucket=f"made-{os.getpid()}")
    s3_proxy.reset(no_bucket_yet)
    place.create("a", b"hello")
    assert [request.target.count("/") for request in s3_proxy.requests] == [4, 1, 4]
    assert place.get("a").data == b"hello"
    s3_proxy.reset(no_bucket_yet)
    with pytest.raises(AlreadyExists):  # the bucket is there, which is as good as making it
        place.create("a", b"hello")
    s3_proxy.reset(no_bucket_yet)
    with pytest.raises(Conflict):  # and a swap makes none
        place.swap("a", b"hello", Token("0"))
    assert len(s3_proxy.requests) == 1


def test_a_large_body_is_sent_in_pieces(s3_proxy: FaultProxy) -> None:
    """All of it, in order; the time that a server may take is for each of them."""
    data = bytes(range(256)) * 5000
    pieces = _Pieces(data)
    read = []
    while piece := pieces.read(1000):
        read.append(bytes(piece))
    assert b"".join(read) == data
    assert max(map(len, read)) == 1000
    place = backend(s3_proxy.endpoint)
    place.create("large", memoryview(data))
    assert place.get("large").data == data


def test_threads_share_connections(seaweedfs: servers.Server) -> None:
    """Many at once, each with its own answer."""
    place = backend(seaweedfs.endpoint)

    def work(number: int) -> bytes:
        place.create(f"a/{number}", b"%d" % number)
        return place.get(f"a/{number}").data

    with ThreadPoolExecutor(24) as threads:
        assert list(threads.map(work, range(100))) == [b"%d" % number for number in range(100)]


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_fork_has_connections_of_its_own(seaweedfs: servers.Server) -> None:
    """Parent and children ask at once, none on a connection of another, and nobody reads another's answer."""
    place = backend(seaweedfs.endpoint)
    for number in range(4):
        place.create(f"a/{number}", b"%d" % number * 1000)
    place.get("a/0")
    parents = place._wire()
    failures = multiprocessing.get_context("fork").Queue()

    def read(number: int) -> None:
        shared = number > 0 and place._wire() is parents
        wrong = sum(place.get(f"a/{number}").data != b"%d" % number * 1000 for _ in range(30))
        failures.put(wrong + shared)

    children = [
        multiprocessing.get_context("fork").Process(target=read, args=(number,)) for number in range(1, 4)
    ]
    for child in children:
        child.start()
    read(0)
    assert [failures.get(timeout=60) for _ in range(4)] == [0] * 4
    for child in children:
        child.join(60)
        assert child.exitcode == 0


def test_a_pickle_finds_its_keys_in_the_environment(
    seaweedfs: servers.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes none with it, and says what to do where there are none."""
    place = backend(seaweedfs.endpoint)
    place.create("a", b"hello")
    copy = pickle.loads(pickle.dumps(place))
    with pytest.raises(StoragePermissionError, match="AWS_ACCESS_KEY_ID"):
        copy.get("a")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", servers.ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", servers.SECRET_KEY)
    assert pickle.loads(pickle.dumps(place)).get("a").data == b"hello"


def test_keys_come_from_the_file_of_the_tools(
    seaweedfs: servers.Server, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By profile."""
    file = f"{tmp_path}/credentials"
    with open(file, "w", encoding="utf-8") as out:
        out.write(
            f"[mine]\naws_access_key_id={servers.ACCESS_KEY}\naws_secret_access_key={servers.SECRET_KEY}\n"
        )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", file)
    monkeypatch.setenv("AWS_PROFILE", "mine")
    place = backend(seaweedfs.endpoint, access_key=None, secret_key=None)
    place.create("a", b"hello")
    assert place.get("a").data == b"hello"


def test_a_server_with_conditions_passes_the_probe(seaweedfs: servers.Server) -> None:
    """And leaves nothing."""
    place = backend(seaweedfs.endpoint)
    probe(place)
    assert list(place.list("")) == []


def test_a_server_without_conditions_is_refused(rclone_s3: servers.Server) -> None:
    """It would tell two writers that both of them won."""
    place = backend(rclone_s3.endpoint, bucket="plain")
    with pytest.raises(UnsafeStorageError, match="does not honour conditional writes"):
        probe(place)


def test_a_place_can_be_listed_while_others_write(seaweedfs: servers.Server) -> None:
    """What was there before is listed once."""
    prefix = new_prefix()
    place = backend(seaweedfs.endpoint, prefix)
    for number in range(20):
        place.create(f"a/{number:02}", b"")
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            place.create(f"b/{number}", b"")
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(10):
            seen = [row.key for row in place.list("")]
            assert seen == sorted(set(seen))
            assert seen[:20] == [f"a/{number:02}" for number in range(20)]
    finally:
        stop.set()
        writer.join()
