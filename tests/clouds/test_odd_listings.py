"""Servers whose listings are not what they should be: never an end that is none, never a wait without end."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

import pytest

from casreg import GCPRegistryBackend, MinioRegistryBackend, StorageUnavailableError
from clouds.scripted import Reply, Scripted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from casreg.backends.base import Backend

pytestmark = pytest.mark.clouds

MOST = 20
"""Requests after which a listing that should have ended is one without end."""


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    """A server that says what it is told to."""
    with Scripted() as server:
        yield server


def s3_page(keys: str, token: str | None = None, *, more: bool = False) -> Reply:
    """An answer of S3 with these keys, and where it goes on."""
    rows = "".join(
        f'<Contents><Key>{escape(key)}</Key><Size>1</Size><ETag>"e"</ETag>'
        "<LastModified>2026-11-22T10:31:36.000Z</LastModified></Contents>"
        for key in keys.split()
    )
    following = f"<NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    truncated = str(more or token is not None).lower()
    page = f"<ListBucketResult><Name>bucket</Name><IsTruncated>{truncated}</IsTruncated>{following}{rows}</ListBucketResult>"
    return Reply(200, page.encode(), {"Content-Type": "application/xml"})


def gcs_page(keys: str, token: str | None = None) -> Reply:
    """An answer of Google's with these keys, and where it goes on."""
    rows = [
        {"name": key, "size": "1", "generation": "7", "updated": "2026-11-22T10:31:36.400Z"}
        for key in keys.split()
    ]
    following = {} if token is None else {"nextPageToken": token}
    return Reply(200, json.dumps({"items": rows, **following}).encode())


def on_s3(server: Scripted) -> Backend:
    """A handle on that server."""
    return MinioRegistryBackend(
        endpoint=server.url, bucket="bucket", access_key="any", secret_key="any", timeout=1
    )


def on_gcs(server: Scripted) -> Backend:
    """A handle on that server."""
    return GCPRegistryBackend("gs://bucket", endpoint=server.url, timeout=1)


clouds = pytest.mark.parametrize(
    ("backend", "page"), [(on_s3, s3_page), (on_gcs, gcs_page)], ids=["s3", "gcs"]
)


def at_most(pages: Iterator[Reply]) -> Callable[[object], Reply]:
    """These answers, as long as the listing may go on."""
    answers = itertools.chain(itertools.islice(pages, MOST), itertools.repeat(Reply(400, b"without end")))
    return lambda _: next(answers)


def listed(backend: Backend, after: str = "") -> list[str]:
    """The keys."""
    return [row.key for row in backend.list("", after)]


def test_a_server_of_the_older_listing_alone_is_no_endless_one(scripted: Scripted) -> None:
    """It says that there is more, not where, and begins anew at each question: an error, after the second."""
    scripted.answer = at_most(itertools.repeat(s3_page("a b", more=True)))
    with pytest.raises(StorageUnavailableError, match="goes on where it was"):
        listed(on_s3(scripted))
    assert len(scripted.asked) == 2


@clouds
def test_a_token_that_leads_back_ends_the_listing(
    scripted: Scripted, backend: Callable[[Scripted], Backend], page: Callable[..., Reply]
) -> None:
    """Also where the page is empty: nobody asks the same question again and again."""
    scripted.answer = at_most(itertools.repeat(page("", "same")))
    with pytest.raises(StorageUnavailableError, match="goes on where it was"):
        listed(backend(scripted))
    assert len(scripted.asked) <= 2


@clouds
def test_pages_that_repeat_themselves_end_the_listing(
    scripted: Scripted, backend: Callable[[Scripted], Backend], page: Callable[..., Reply]
) -> None:
    """Under tokens that differ, too."""
    scripted.answer = at_most(page("a b", f"token-{number}") for number in itertools.count())
    with pytest.raises(StorageUnavailableError, match=r"goes on where it was|behind"):
        listed(backend(scripted))
    assert len(scripted.asked) <= 2


@clouds
def test_a_listing_in_no_order_is_an_error(
    scripted: Scripted, backend: Callable[[Scripted], Backend], page: Callable[..., Reply]
) -> None:
    """What comes too late would be left out without a word, and a collector would take what it needs for garbage."""
    scripted.script = [page("c d", "more"), page("a e")]
    with pytest.raises(StorageUnavailableError, match="'a' behind 'd'"):
        listed(backend(scripted))


@clouds
def test_a_key_on_two_pages_is_listed_once(
    scripted: Scripted, backend: Callable[[Scripted], Backend], page: Callable[..., Reply]
) -> None:
    """As may happen while somebody writes."""
    scripted.script = [page("a b c", "more"), page("c d")]
    assert listed(backend(scripted), "a") == ["b", "c", "d"]


def test_an_empty_token_is_the_end(scripted: Scripted) -> None:
    """Google leaves it out; others do not."""
    scripted.answer = at_most(itertools.repeat(gcs_page("a", "")))
    assert listed(on_gcs(scripted)) == ["a"]
    assert len(scripted.asked) == 1


@clouds
def test_what_lies_beside_the_place_is_not_listed(
    scripted: Scripted, backend: Callable[[Scripted], Backend], page: Callable[..., Reply]
) -> None:
    """By a server that does not look at prefixes; nor what is no key."""
    scripted.script = [page("other refs/\u00e4 refs/a zz")]
    assert [row.key for row in backend(scripted).list("refs/")] == ["refs/a"]
