"""`GCSBackend`: the five methods over Google's JSON API.

Objects go through google-auth's own session rather than through `google.cloud.storage.Blob`, which makes buckets
here and nothing more.  What decided: `Blob` sends whatever is larger than 8 MiB as a resumable upload, two requests
and more, each of which the library may send again, while a pack has to go up in one request that is sent once; it
asks for the bucket's metadata beside the caller's back; and reading 8 MiB takes six times the time of the
processor, writing them ten times.

Every object is written with `Cache-Control: no-store`: without that, Google's edges may answer reads of a bucket that
is open to the public from copies an hour old, and a ref that was swapped would be read as it was.
"""

from __future__ import annotations

import logging
import os
import random
import re
import time
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import quote

from casreg.backends.base import Object, ObjectInfo, Token, Traits, is_timeout
from casreg.backends.gcs.answers import Answer, failed, refused, unclear
from casreg.backends.gcs.place import Place, place_of
from casreg.backends.gcs.session import Connection, transport_errors
from casreg.backends.gcs.upload import upload_of
from casreg.backends.key_rules import check_key, check_range, is_key
from casreg.exceptions import (
    AlreadyExists,
    Conflict,
    InvalidArgumentError,
    NotFound,
    StorageError,
    StorageUnavailableError,
)
from casreg.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from typing_extensions import Buffer

_Result = TypeVar("_Result")

_TRIES: Final = 5
_FIRST_WAIT: Final = 0.2
_LONGEST_WAIT: Final = 5.0
_PAGE: Final = 1000
_DELETING: Final = 16
_GENERATION: Final = re.compile(r"[1-9][0-9]{0,18}")
_OBJECT_UPDATE_SECONDS: Final = 1.0
_PARALLEL: Final = 8

log = logging.getLogger("casreg.gcs")


@dataclass(frozen=True, slots=True)
class _Settings:
    """What a handle consists of, and all that a pickle of it has."""

    place: Place
    credentials_path: str | None
    create_bucket: bool
    timeout: float


class GCSBackend:
    """A repository in a bucket of Google Cloud Storage. Safe in many threads, forks and pickles; makes no I/O yet.

    Give a URI, or the name of the bucket: then the URI is a label.

    Without `credentials_path`, Google's application default credentials are used: `GOOGLE_APPLICATION_CREDENTIALS`,
    `gcloud`, the service account of the machine. With it that file is, and if it is missing, the first use says so:
    nobody else's credentials take its place. A server on this machine is spoken to without any.

    Args:
        uri: `gs://bucket/prefix?endpoint=…&project=…`.
        project_id: Where the bucket is made; by default the project of the credentials.
        bucket_name: The bucket.
        credentials_path: A file with the key of a service account, or of a user, as `gcloud` writes it.
        prefix: What all keys begin with: other things may stand in the same bucket.
        endpoint: Another address of the service: `https://host`, or `localhost:port` for a server for tests.
        create_bucket: Whether the first write makes the bucket if there is none (in Google's default place, `US`,
            without access lists for single objects).
        timeout: Seconds without a sign of life after which a request has failed. Reads, listings and deletions are
            then tried again, for about twice as long in all.

    Raises:
        InvalidArgumentError: No bucket is named, arguments contradict the URI, or one is not what it must be.
    """

    def __init__(
        self,
        uri: str | None = None,
        project_id: str | None = None,
        bucket_name: str | None = None,
        credentials_path: str | os.PathLike[str] | None = None,
        *,
        prefix: str = "",
        endpoint: str | None = None,
        create_bucket: bool = True,
        timeout: float = 60.0,
    ) -> None:
        if not is_timeout(timeout):
            raise InvalidArgumentError(f"timeout={timeout!r:.40} is no number of seconds above 0")
        if credentials_path is not None and not os.fspath(credentials_path):
            # A variable that is not set, most likely: whoever names a file does not mean somebody else's account.
            raise InvalidArgumentError("credentials_path is empty: name a file, or leave it out")
        # Made absolute now, so that a later change of the working directory moves nothing.
        path = (
            os.path.abspath(os.path.expanduser(os.fsdecode(credentials_path))) if credentials_path else None
        )
        place = place_of(uri, bucket_name, prefix, endpoint, project_id)
        self.__setstate__(_Settings(place, path, create_bucket, timeout))

    def __getstate__(self) -> _Settings:
        return self._settings

    def __setstate__(self, settings: _Settings) -> None:
        self._settings = settings
        self._place = settings.place
        self._connection = Connection(settings.place, settings.credentials_path, settings.timeout)
        self._tells_generations = True
        self._has_bucket = False

    def __repr__(self) -> str:
        return f"GCSBackend({self.location!r})"

    @property
    def location(self) -> str:
        """The `gs://` URI: bucket, prefix, and the endpoint unless it is Google's."""
        return self._place.location

    @property
    def traits(self) -> Traits:
        """Google takes about one update of an object in a second; a server for tests, as many as it can."""
        return Traits(0.0 if self._place.near else _OBJECT_UPDATE_SECONDS, _PARALLEL)

    def get(self, key: str, start: int = 0, stop: int | None = None, *, held: Object | None = None) -> Object:
        """See `Backend.get`.

        Raises:
            NotFound: There is no such key.
            InvalidArgumentError: Not a key, or not a range.
            StorageError: The storage refused or failed.
        """
        check_key(key)
        check_range(start, stop)
        if start == stop:  # HTTP knows no empty range; whether the key is there has to be asked all the same
            self._patiently(partial(self._read_range, key, start, start + 1))
            return Object(b"", None)
        if start or stop is not None:
            return self._patiently(partial(self._read_range, key, start, stop))
        return self._patiently(partial(self._read, key, held))

    def create(self, key: str, data: Buffer, *, durable: bool = True) -> Token:  # noqa: ARG002 - it always is
        """See `Backend.create`.

        Raises:
            AlreadyExists: The key exists; its bytes are unchanged.
            InvalidArgumentError: Not a key.
            StorageError: The storage refused or failed.
        """
        check_key(key)
        answer = self._upload(key, data, "0")
        if answer.missing:
            # The one refusal that says that nothing was done, and why: there is no bucket.
            self._make_bucket()
            answer = self._upload(key, data, "0")
        if answer.status == 412:
            raise AlreadyExists(f"{key!r} exists in {self.location}")
        return self._written(key, answer)

    def swap(self, key: str, data: Buffer, expected: Token) -> Token:
        """See `Backend.swap`.

        Raises:
            Conflict: The key is in another state, or does not exist; its bytes are unchanged.
            InvalidArgumentError: Not a key.
            StorageError: The storage refused or failed.
        """
        check_key(key)
        if not _GENERATION.fullmatch(expected):  # 0 would mean: only if there is none
            raise Conflict(f"{key!r} in {self.location} never was in the state {expected!r:.40}")
        answer = self._upload(key, data, expected)
        if answer.status == 412 or answer.missing:
            raise Conflict(f"{key!r} in {self.location} was changed by somebody else, or is not there")
        return self._written(key, answer)

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:
        """See `Backend.list`. A thousand keys a request.

        Raises:
            StorageError: The storage refused or failed.
        """
        page_token: str | None = ""
        last = after
        while page_token is not None:
            rows, following = self._patiently(partial(self._page, prefix, after, page_token))
            for row in rows:
                if row.key < last:
                    # Then others may be left out, and a collector would take what they need for garbage.
                    raise unclear(f"listing {prefix!r} in {self.location}", f"{row.key!r} behind {last!r}")
                if row.key > last:
                    yield row
                last = row.key
            if following == page_token:
                raise unclear(f"listing {prefix!r} in {self.location}", "it goes on where it was")
            page_token = following

    def delete(self, keys: Iterable[str]) -> None:
        """See `Backend.delete`. One request a key, sixteen at a time, each of them answered.

        Raises:
            InvalidArgumentError: Not a key; nothing was deleted.
            StorageError: The storage refused or failed for one of them; the others are gone, or were tried.
        """
        named = tuple(dict.fromkeys(keys))
        for key in named:
            check_key(key)
        if len(named) == 1:
            self._patiently(partial(self._delete, named[0]))
        elif named:
            with Threads(min(_DELETING, len(named)), "casreg-delete") as threads:
                done = [threads.submit(self._patiently, partial(self._delete, key)) for key in named]
            for one in done:
                one.result()

    def _read(self, key: str, held: Object | None) -> Object:
        what = f"reading {key!r} in {self.location}"
        parameters = {"alt": "media"}
        known = held.token if held is not None and self._tells_generations else None
        if known:
            parameters["ifGenerationNotMatch"] = known
        answer = self._connection.send(what, "GET", self._object_path(key, "/download"), parameters)
        generation = answer.headers.get("X-Goog-Generation")
        if answer.status == 304 and known:
            if generation == known and held is not None:
                return held
            # "Not another one" is also true of what is not there: only a named generation shows that it is.
            self._tells_generations = False
            return self._read(key, None)
        if answer.status == 200:
            if generation is None:
                raise unclear(what, "it names no generation")
            return Object(answer.body, Token(generation))
        raise self._not_read(key, answer, what)

    def _read_range(self, key: str, start: int, stop: int | None) -> Object:
        what = f"reading {key!r} in {self.location}"
        wanted = {"Range": f"bytes={start}-{'' if stop is None else stop - 1}"}
        answer = self._connection.send(
            what, "GET", self._object_path(key, "/download"), {"alt": "media"}, wanted
        )
        if answer.status == 206:
            if not answer.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
                raise unclear(what, "it is of another range")
            return Object(answer.body, None)
        if answer.status == 200:
            return Object(answer.body[start:stop], None)
        if answer.status == 416:  # it begins at the end, or behind it
            return Object(b"", None)
        raise self._not_read(key, answer, what)

    def _not_read(self, key: str, answer: Answer, what: str) -> StorageError:
        if not answer.missing:
            return refused(answer, what)
        if not self._settings.create_bucket and not self._has_bucket:
            # If it is the bucket that is missing, whoever said that it is there has mistyped its name, and is told.
            self._page("", "", "")
            self._has_bucket = True
        return NotFound(f"there is no {key!r} in {self.location}")

    def _upload(self, key: str, data: Buffer, generation: str) -> Answer:
        """One request, sent once, done only if the object is of this generation (0: if there is none)."""
        body = upload_of(self._place.prefix + key, data)
        return self._connection.send(
            f"writing {key!r} in {self.location}",
            "POST",
            f"/upload/storage/v1/b/{self._place.bucket}/o",
            {"uploadType": "multipart", "ifGenerationMatch": generation, "fields": "generation"},
            {"Content-Type": body.content_type},
            body,
        )

    def _written(self, key: str, answer: Answer) -> Token:
        what = f"writing {key!r} in {self.location}"
        if answer.missing:
            raise StorageError(f"{what} failed: there is no bucket {self._place.bucket!r}")
        if answer.status != 200:
            raise refused(answer, what)
        try:
            generation = answer.fields()["generation"]
            if not _GENERATION.fullmatch(generation):
                raise ValueError(generation)
        except (KeyError, TypeError, ValueError) as err:
            raise unclear(what, err) from err
        return Token(generation)

    def _page(self, prefix: str, after: str, page_token: str) -> tuple[tuple[ObjectInfo, ...], str | None]:
        """Some keys, and how to ask for more; None at the end."""
        what = f"listing {prefix!r} in {self.location}"
        asked = self._place.prefix + prefix
        answer = self._connection.send(
            what,
            "GET",
            f"/storage/v1/b/{self._place.bucket}/o",
            {
                "prefix": asked,
                "startOffset": self._place.prefix + max(after, prefix),
                "maxResults": str(_PAGE),
                "pageToken": page_token,
                "fields": "items(name,size,generation,updated),nextPageToken",
            },
        )
        if answer.missing:  # no bucket
            if not self._settings.create_bucket:
                raise self._no_bucket()
            return (), None
        if answer.status != 200:
            raise refused(answer, what)
        try:
            found = answer.fields()
            rows = (self._row(item) for item in found.get("items", ()) if item["name"].startswith(asked))
            # It begins with `after`, where that exists; what is no key of ours belongs to somebody else.
            page = tuple(row for row in rows if row.key > after and is_key(row.key))
            return page, found.get("nextPageToken") or None
        except (KeyError, TypeError, ValueError) as err:
            raise unclear(what, err) from err

    def _row(self, item: dict[str, Any]) -> ObjectInfo:
        return ObjectInfo(
            item["name"].removeprefix(self._place.prefix),
            int(item["size"]),
            Token(item["generation"]),
            datetime.fromisoformat(item["updated"]).timestamp(),
        )

    def _delete(self, key: str) -> None:
        what = f"deleting {key!r} in {self.location}"
        answer = self._connection.send(what, "DELETE", self._object_path(key))
        if answer.status not in (200, 204) and not answer.missing:
            raise refused(answer, what)

    def _make_bucket(self) -> None:
        from google.api_core.exceptions import Conflict as Exists, GoogleAPICallError
        from google.cloud.storage import Client

        name = self._place.bucket
        what = f"making the bucket {name!r} for {self.location}"
        if not self._settings.create_bucket:
            raise self._no_bucket()
        opened = self._connection.opened()
        if opened.project is None:
            raise StorageError(f"{what} failed: say in which project, with project_id=…")
        client = Client(
            opened.project, opened.credentials, client_options={"api_endpoint": self._place.endpoint}
        )
        bucket = client.bucket(name)
        bucket.iam_configuration.uniform_bucket_level_access_enabled = True
        try:
            client.create_bucket(bucket, timeout=self._connection.timeouts, retry=None)
        except Exists:
            log.debug(
                "%s: it is there already", what
            )  # made meanwhile; or another's, which the next request will tell
        except GoogleAPICallError as err:
            raise refused(Answer(err.code or 500, {}, str(err.message).encode()), what) from err
        except transport_errors() as err:
            raise failed(err, what, self._settings.timeout) from err
        else:
            log.debug("%s: done, in the project %s", what, opened.project)

    def _no_bucket(self) -> StorageError:
        return StorageError(
            f"there is no bucket {self._place.bucket!r} for {self.location}, and create_bucket=False: make it, or see that "
            "its name is right"
        )

    def _object_path(self, key: str, kind: str = "") -> str:
        name = quote(self._place.prefix + key, safe="")
        return f"{kind}/storage/v1/b/{self._place.bucket}/o/{name}"

    def _patiently(self, work: Callable[[], _Result]) -> _Result:
        """What `work` returns, tried again with jitter while the storage fails. For what may happen twice."""
        began = time.monotonic()
        for trial in count(1):
            try:
                return work()
            except StorageUnavailableError as err:
                wait = random.uniform(0, min(_LONGEST_WAIT, _FIRST_WAIT * 2**trial))
                if trial == _TRIES or time.monotonic() - began + wait > 2 * self._settings.timeout:
                    raise
                log.debug("again in %.2f s: %s", wait, err)
                time.sleep(wait)
        raise AssertionError("count() does not end")
