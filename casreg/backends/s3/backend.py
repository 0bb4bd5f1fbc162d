"""The five methods, on a bucket."""

from __future__ import annotations

import logging
import os
import random
import time
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeVar

from casreg.backends.base import Object, ObjectInfo, Token, Traits, is_timeout
from casreg.backends.key_rules import check_key, check_range, is_key
from casreg.backends.s3.credentials import Keys
from casreg.backends.s3.failures import NO_BUCKET, no_s3, storage_error
from casreg.backends.s3.listing import in_order, start_after
from casreg.backends.s3.messages import Page, checksum, deletion, read_deleted, read_page
from casreg.backends.s3.place import Place, place_of
from casreg.backends.s3.wire import Answer, RefusalError, Wire, WireError
from casreg.exceptions import (
    AlreadyExists,
    Conflict,
    InvalidArgumentError,
    NotFound,
    StorageError,
    StoragePermissionError,
    StorageUnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from typing_extensions import Buffer

T = TypeVar("T")

_ATTEMPTS: Final = 4
_FIRST_WAIT: Final = 0.1
_LONGEST_WAIT: Final = 5.0
_PAGE: Final = 1000
"""Keys in one answer of a listing, and in one request to delete: the most that S3 takes."""

_CHECKED: Final = 1024 * 1024
"""New objects of up to so many bytes are sent with a checksum of their own."""

_BUCKET_IS_THERE: Final = frozenset({"BucketAlreadyOwnedByYou", "BucketAlreadyExists", "OperationAborted"})

log = logging.getLogger("casreg.s3")


class S3Backend:
    """`casreg.MinioRegistryBackend`: a bucket of S3, MinIO, or whatever speaks S3 and honours conditional writes.

    Making one does no I/O. For any number of threads; after a fork each process has its own connections. A pickle
    holds no credentials: where it arrives, they come from the environment.

    Reading, listing and deleting are tried up to four times when the server is busy or the connection fails; writing
    never is, since an answer that got lost would look like somebody else's write.

    Args:
        uri: `s3://bucket/prefix?endpoint=…&region=…&secure=…`. If `bucket` is given, a label without a meaning.
        endpoint: `host:port`, or `http(s)://host:port`; by default that of AWS.
        access_key: With `secret_key`; else what the environment has: `AWS_ACCESS_KEY_ID`, `MINIO_ACCESS_KEY`, the
            AWS credentials file, roles. Never in a URI.
        secret_key: See `access_key`.
        bucket: Its name.
        secure: False for plain http; by default https, unless the endpoint is an `http://` of this machine.
        region: By default `AWS_REGION`; on AWS, where that is not set, the bucket is asked.
        session_token: Of temporary credentials.
        prefix: What all keys begin with; for several repositories in one bucket.
        ca_file: Certificates to trust, a PEM file; by default `SSL_CERT_FILE`, or those that come with `certifi`.
        create_bucket: Whether the first write makes a bucket that is not there.
        timeout: Seconds that a server may be silent.

    Raises:
        InvalidArgumentError: The arguments name no place, contradict each other, or plain http would leave this
            machine without `secure=False`.
    """

    traits: Final = Traits(parallel_requests=8)
    """A bucket is as fast as the number of connections that one asks it on."""

    def __init__(
        self,
        uri: str | None = None,
        endpoint: str | None = None,
        access_key: str | None = None,
        secret_key: str | None = None,
        bucket: str | None = None,
        secure: bool | None = None,
        *,
        region: str | None = None,
        session_token: str | None = None,
        prefix: str = "",
        ca_file: str | os.PathLike[str] | None = None,
        create_bucket: bool = True,
        timeout: float = 60.0,
    ) -> None:
        if not is_timeout(timeout):
            raise InvalidArgumentError(f"timeout={timeout!r:.40} is no number of seconds above 0")
        place = place_of(uri, endpoint=endpoint, bucket=bucket, secure=secure, region=region, prefix=prefix)
        keys = Keys(access_key, secret_key, session_token)
        # Made absolute now, so that a later change of the working directory moves nothing.
        trusted = os.path.abspath(os.path.expanduser(os.fsdecode(ca_file))) if ca_file else None
        self._settle(place, keys, trusted, create_bucket, timeout)

    def _settle(
        self, place: Place, keys: Keys, ca_file: str | None, create_bucket: bool, timeout: float
    ) -> None:
        self._place = place
        self._keys = keys
        self._ca_file = ca_file
        self._create_bucket = create_bucket
        self._timeout = timeout
        self._wires: dict[int, Wire] = {}

    def __reduce__(self) -> tuple[object, ...]:
        return (_reopen, (self._place, self._ca_file, self._create_bucket, self._timeout))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.location!r})"

    @property
    def location(self) -> str:
        """`s3://bucket/prefix?endpoint=https://host:port`: it opens the place again, with a region and keys that are found."""
        return self._place.uri

    def get(self, key: str, start: int = 0, stop: int | None = None, *, held: Object | None = None) -> Object:
        """See `Backend.get`.

        Raises:
            NotFound: There is no such key.
            InvalidArgumentError: Not a key, or not a range.
            StorageError: It cannot be read.
        """
        check_key(key)
        check_range(start, stop)
        if start == 0 and stop is None:
            return self._get_whole(key, held)
        # No range is empty in HTTP: one byte is asked for, to see whether the key is there.
        last = "" if stop is None else str(max(stop - 1, start))
        answer = self._find(key, {"Range": f"bytes={start}-{last}"})
        if answer is None:
            return Object(b"", None)
        begin = 0  # a server may give all instead of the range, never a mixture
        if answer.status == 206:
            begin, said = start, f"bytes {start}-"
            if not answer.headers.get("Content-Range", said).startswith(said):
                raise no_s3(f"the answer for {key!r}, with another range,", self._place)
        data = answer.data[start - begin : None if stop is None else stop - begin]
        return Object(data, None)

    def create(self, key: str, data: Buffer, *, durable: bool = True) -> Token:  # noqa: ARG002 - it always is
        """See `Backend.create`.

        Raises:
            AlreadyExists: The key exists; its bytes are unchanged.
            InvalidArgumentError: Not a key.
            StorageError: Not allowed, full, or in doubt.
        """
        check_key(key)
        return self._write(
            key, data, {"If-None-Match": "*"}, AlreadyExists(f"{key!r} exists in {self.location}")
        )

    def swap(self, key: str, data: Buffer, expected: Token) -> Token:
        """See `Backend.swap`.

        Raises:
            Conflict: The key is in another state, or does not exist; its bytes are unchanged.
            InvalidArgumentError: Not a key.
            StorageError: Not allowed, full, or in doubt.
        """
        check_key(key)
        lost = Conflict(f"{key!r} in {self.location} was changed by somebody else, or is not there")
        return self._write(key, data, {"If-Match": f'"{expected}"'}, lost)

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:
        """See `Backend.list`. What lies below the place and is no key is passed over.

        Raises:
            StorageError: It cannot be listed.
        """
        asked = self._key(prefix)
        behind = self._key(after)
        begin = len(self._place.prefix)
        last = ""
        for row in in_order(self._pages(asked, start_after(behind, asked)), asked):
            if not row.key.startswith(asked) or not is_key(row.key[begin:]):
                continue
            if row.key < last:
                # Then others may be left out, and a collector would take what they need for garbage.
                raise no_s3(
                    f"a listing of {self.location} in no order, {row.key!r} behind {last!r},", self._place
                )
            if row.key > max(behind, last):
                yield replace(row, key=row.key[begin:])
            last = row.key

    def delete(self, keys: Iterable[str]) -> None:
        """See `Backend.delete`. A thousand keys a request; each has to be confirmed by name.

        Raises:
            InvalidArgumentError: Not a key; those of requests before it are gone.
            StorageError: Not allowed, or not confirmed; some may be gone.
        """
        left = iter(keys)
        while batch := tuple(islice(left, _PAGE)):
            for key in batch:
                check_key(key)
            self._delete_batch({self._key(key) for key in batch})

    def _get_whole(self, key: str, held: Object | None) -> Object:
        known = held is not None and held.token is not None
        answer = self._find(key, {"If-None-Match": f'"{held.token}"'} if held and known else {})
        if answer is None:
            return Object(b"", None)
        if answer.status == 304:
            assert held is not None
            return held
        if answer.status != 200:
            raise no_s3(f"the answer {answer.status} for all of {key!r}", self._place)
        return Object(answer.data, self._token(answer, key))

    def _find(self, key: str, headers: dict[str, str]) -> Answer | None:
        """The answer to a GET, also "not modified"; None if the range begins behind the end."""
        with self._told(f"read {key!r}"):
            try:
                return self._again(lambda: self._wire().send("GET", self._key(key), headers=headers))
            except RefusalError as err:
                if err.code == "NoSuchKey" or (err.code == NO_BUCKET and self._create_bucket):
                    raise NotFound(f"there is no {key!r} in {self.location}") from err
                if err.status == 304 and "If-None-Match" in headers:
                    return Answer(304, err.headers, b"")
                if err.status == 416 and "Range" in headers:
                    return None
                raise

    def _write(self, key: str, data: Buffer, condition: dict[str, str], lost: StorageError) -> Token:
        body = _bytes(data)
        with self._told(f"write {key!r}"):
            try:
                try:
                    answer = self._put(key, body, condition)
                except RefusalError as err:
                    if err.code != NO_BUCKET or not self._create_bucket or isinstance(lost, Conflict):
                        raise
                    # It is certain that nothing was written: the same write may be sent once more.
                    self._make_bucket()
                    answer = self._put(key, body, condition)
            except RefusalError as err:
                # With 404, some servers say that what was to be swapped is not there.
                missing = err.code == "NoSuchKey" or (err.code == NO_BUCKET and self._create_bucket)
                if err.status == 412 or (missing and isinstance(lost, Conflict)):
                    raise lost from err
                raise
        return self._token(answer, key)

    def _put(self, key: str, body: memoryview, condition: dict[str, str]) -> Answer:
        # Over plain http the SDK sends no checksum that servers compare, and there are some (SeaweedFS) that take a
        # connection that ends behind the head, as that of a process that is killed there, for an empty object. That
        # must not happen to what changes, nor to what has a name that somebody will look at. A pack has neither: nobody
        # builds on one that was not acknowledged, and the checksum would take as long as cutting it.
        checked = "If-Match" in condition or len(body) <= _CHECKED
        headers = {**condition, **checksum(body)} if checked else condition
        return self._wire().send("PUT", self._key(key), body=body, headers=headers)

    def _make_bucket(self) -> None:

        log.debug("make the bucket of %s", self.location)
        try:
            self._again(lambda: self._wire().make_bucket())
        except RefusalError as err:
            if err.code in _BUCKET_IS_THERE:
                return  # another writer was faster; if it is a stranger's, the write will be told
            if err.status == 403:
                raise StoragePermissionError(
                    f"there is no bucket {self._place.bucket!r} at {self._place.endpoint}, and these credentials may not "
                    f"make it ({err}): have it made"
                ) from err
            raise

    def _pages(self, prefix: str, after: str) -> Iterator[Page]:
        """The answers to a listing, one after the other, keys as the server has them."""
        query = {"list-type": "2", "max-keys": str(_PAGE), "prefix": prefix, "encoding-type": "url"}
        if after:
            query["start-after"] = after
        last: list[ObjectInfo] = []
        while True:
            page = self._page(query)
            repeated = page.token == query.get("continuation-token") or (last and page.rows[-1:] == last)
            if page.more and repeated:
                # So do servers that know the older kind of listing alone: they would begin anew for ever.
                raise no_s3(f"a listing of {self.location} that goes on where it was", self._place)
            yield page
            if not page.more:
                return
            last = page.rows[-1:] or last
            query["continuation-token"] = page.token

    def _page(self, query: dict[str, str]) -> Page:
        with self._told("list keys"):
            try:
                answer = self._again(lambda: self._wire().send("GET", query=query))
            except RefusalError as err:
                if err.code == NO_BUCKET and self._create_bucket:
                    return Page([], "")
                raise
        try:
            return read_page(answer)
        except ValueError as err:
            raise no_s3(f"cannot list {self.location}: the answer ({err})", self._place) from err

    def _delete_batch(self, keys: set[str]) -> None:
        refused: Mapping[str, str] = {}
        for attempt in range(_ATTEMPTS):
            answer = self._send_deletion(keys)
            if answer is None:
                return
            try:
                gone, refused = read_deleted(answer)
            except ValueError as err:
                raise no_s3(f"cannot delete in {self.location}: the answer ({err})", self._place) from err
            keys -= gone
            if not keys:
                return
            if any(code == "AccessDenied" for code in refused.values()):
                break
            time.sleep(_pause(attempt))
        first = min(keys)
        kind = StoragePermissionError if refused.get(first) == "AccessDenied" else StorageUnavailableError
        raise kind(
            f"{len(keys)} keys in {self.location} are not confirmed as deleted, such as {first!r} "
            f"({refused.get(first, 'no answer for it')}). If it is not allowed, the credentials' policy has to allow it; "
            "else try again later"
        )

    def _send_deletion(self, keys: set[str]) -> Answer | None:
        """The answer; None if there is not even a bucket."""
        body, headers = deletion(sorted(keys))
        with self._told(f"delete {len(keys)} keys"):
            try:
                return self._again(
                    lambda: self._wire().send("POST", body=body, headers=headers, query={"delete": ""})
                )
            except RefusalError as err:
                if err.code == NO_BUCKET and self._create_bucket:
                    return None
                raise

    def _key(self, key: str) -> str:
        return self._place.prefix + key

    def _wire(self) -> Wire:
        """The connections of this process: a fork must not share those of its parent."""
        pid = os.getpid()
        wire = self._wires.get(pid)
        if wire is None:
            made = Wire(self._place, self._keys, ca_file=self._ca_file, timeout=self._timeout)
            wire = self._wires.setdefault(pid, made)
        return wire

    def _token(self, answer: Answer, key: str) -> Token:

        tag = answer.headers.get("etag", "").removeprefix("W/").strip('"')
        if not tag:
            raise no_s3(f"the answer for {key!r}, which has no ETag,", self._place)
        return Token(tag)

    def _again(self, act: Callable[[], T]) -> T:
        """`act()`, up to four times while what hinders it may pass. Only for what may be done twice."""
        began = time.monotonic()
        for attempt in range(_ATTEMPTS):
            try:
                return act()
            except WireError as err:
                late = time.monotonic() - began > 1.5 * self._timeout  # who is silent is asked twice
                if attempt == _ATTEMPTS - 1 or late or not err.passing:
                    raise
                log.debug("once more at %s: %s", self.location, err)
            time.sleep(_pause(attempt))
        raise AssertionError("the last attempt returns or raises")

    @contextmanager
    def _told(self, doing: str) -> Iterator[None]:
        """Turns what the wire raises into casreg's errors."""
        try:
            yield
        except WireError as err:
            raise storage_error(err, doing, self._place) from err


def _pause(attempt: int) -> float:
    """Full jitter: many who failed together must not come back together."""
    return random.uniform(0, min(_FIRST_WAIT * 2**attempt, _LONGEST_WAIT))


def _bytes(data: Buffer) -> memoryview:
    """One dimension of bytes, without a copy."""
    view = memoryview(data)
    return view.cast("B") if view.c_contiguous and view.nbytes else memoryview(bytes(view))


def _reopen(place: Place, ca_file: str | None, create_bucket: bool, timeout: float) -> S3Backend:
    backend = S3Backend.__new__(S3Backend)
    backend._settle(place, Keys(), ca_file, create_bucket, timeout)  # noqa: SLF001 - our own, just made
    return backend
