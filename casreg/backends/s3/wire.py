"""Requests to a bucket: the only module that knows the SDK's private call, and sends each request **once**.

The SDK has no public way to send `If-None-Match` and `If-Match` with a PUT: as metadata they would be renamed, and the
object overwritten without a word.  `Minio._execute` takes headers and signs them, up to the SDK's version 8.

Nothing below may send a request a second time: a write that landed, and whose answer was lost, would come back as
refused by itself.  Nor may the SDK's reading of refusals stand between: it drops the status of what is not XML.
"""

from __future__ import annotations

import html
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import urllib3
from urllib3.exceptions import HTTPError, NewConnectionError, ProtocolError, SSLError

from casreg.backends.s3.credentials import provider_of
from casreg.backends.s3.proxies import proxy_for
from casreg.exceptions import CasregError, InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from minio import Minio
    from typing_extensions import Buffer
    from urllib3 import BaseHTTPResponse

    from casreg.backends.s3.credentials import Keys
    from casreg.backends.s3.place import Place

_CONNECT_SECONDS: Final = 10.0
_PIECE: Final = 256 * 1024
_CONNECTIONS: Final = 64
"""Kept open for the next request. More threads than this may ask at once; their connections are closed afterwards."""

_ENDED: Final = frozenset({"ExpiredToken", "TokenRefreshRequired"})

_PASSING: Final = frozenset({408, 429, 500, 502, 503, 504})
_PASSING_CODES: Final = frozenset(
    {"RequestTimeout", "SlowDown", "InternalError", "ServiceUnavailable", "TooManyRequests"}
    | {"ConditionalRequestConflict", "OperationAborted"}
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said when it did what it was asked for. Names of headers in any case."""

    status: int
    headers: Mapping[str, str]
    data: bytes


class WireError(Exception):
    """A request that was not answered as it should."""

    @property
    def passing(self) -> bool:
        """Whether asking again may help."""
        return False


class RefusalError(WireError):
    """The server said no.

    Attributes:
        status: Of HTTP.
        code: S3's word for it; empty if what answered does not speak S3, or (HEAD, 304) says nothing more.
        message: The server's sentence.
        headers: Of the answer.
        region: Where the bucket is, if the server says so.
    """

    def __init__(self, status: int, headers: Mapping[str, str], data: bytes) -> None:
        text = data[:65536].decode(errors="replace")
        self.status = status
        self.headers = headers
        self.code = _element(text, "Code")
        self.message = _element(text, "Message").rstrip(".")
        self.region = headers.get("x-amz-bucket-region", "") or _element(text, "Region")
        said = f"{status} {self.code}".removesuffix(f" {status}")  # some say the number twice
        super().__init__(f"{said}: {self.message}" if self.message else said.rstrip())

    @property
    def passing(self) -> bool:
        """Whether the server is only busy, or out of order."""
        return self.status in _PASSING or self.code in _PASSING_CODES


class BrokenError(WireError):
    """The connection failed, before or after the server acted.

    Attributes:
        unsent: It is certain that the server never saw the request.
        tls: The two did not agree on how to encrypt.
    """

    def __init__(self, error: Exception) -> None:
        self.tls = isinstance(error, SSLError)
        self.unsent = self.tls or isinstance(error, NewConnectionError)
        super().__init__(_words(error))

    @property
    def passing(self) -> bool:
        """All but a server that speaks no TLS, or whose certificate nobody knows."""
        return not self.tls


class Wire:
    """The connections of one process to one bucket, for any number of threads. Making one does no I/O."""

    def __init__(self, place: Place, keys: Keys, *, ca_file: str | None, timeout: float) -> None:
        self._place = place
        self._keys = keys
        self._connections = _Connections(place, _certificates(ca_file, place), timeout)
        self._client = self._signed_in()

    def _signed_in(self) -> Minio:
        """The SDK with credentials that are looked for anew."""
        from minio import Minio

        place = self._place
        region = place.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        if not region and not place.amazon:
            region = "us-east-1"  # what other servers call themselves, or do not look at; or the SDK asks each time
        try:
            return Minio(
                place.host,
                secure=place.secure,
                region=region,
                credentials=provider_of(self._keys, place),
                http_client=self._connections,
            )
        except ValueError as err:
            raise InvalidArgumentError(
                f"{place.endpoint} cannot be the endpoint of {place.uri}: {err}. Give host:port, and region=… if there is one"
            ) from err

    def send(
        self,
        method: str,
        key: str | None = None,
        *,
        body: Buffer | None = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request, sent once; once more with new keys, if the server said that those it was signed with have ended.

        Args:
            method: `GET`, `PUT`, `POST`, `HEAD`.
            key: Of the object, with the place's prefix; None for the bucket itself.
            body: One-dimensional bytes.
            headers: More of them; signed.
            query: Parameters.

        Raises:
            RefusalError: The server refused it.
            BrokenError: The connection failed: perhaps the server did it, perhaps not.
            StoragePermissionError: There are no credentials.
            InvalidArgumentError: Such a bucket cannot be at this endpoint.
        """

        def once() -> Answer:
            sent: dict[str, Any] = {"headers": dict(headers or {}), "query_params": dict(query or {})}
            execute = self._client._execute  # noqa: SLF001 - see the module
            return self._call(execute, method, self._place.bucket, key, body=body, **sent)

        try:
            return once()
        except RefusalError as err:
            if err.code not in _ENDED or self._keys.access_key:
                raise
        # Nothing was done. Who renews the keys of a long run writes the new ones to where these were found.
        self._client = self._signed_in()
        return once()

    def make_bucket(self) -> None:
        """Make the bucket.

        Raises:
            RefusalError: As `send`.
            BrokenError: As `send`.
            StoragePermissionError: As `send`.
            InvalidArgumentError: No bucket can be made with this name.
        """
        try:
            self._call(self._client.make_bucket, self._place.bucket)
        except InvalidArgumentError as err:
            raise InvalidArgumentError(f"there is no such bucket, and none can be made: {err}") from err

    def _call(self, act: Any, *arguments: Any, **named: Any) -> Answer:
        try:
            response = act(*arguments, **named)
        except (WireError, CasregError):
            raise
        except (HTTPError, OSError, SyntaxError) as err:  # the last: XML that the SDK cannot read
            raise BrokenError(err) from err
        except ValueError as err:  # the SDK's word for what it does not even ask for
            raise InvalidArgumentError(
                f"{self._place.bucket!r} at {self._place.endpoint}: {err}. Is the name right, and the endpoint?"
            ) from err
        if response is None:
            return Answer(200, {}, b"")
        return Answer(response.status, response.headers, response.data)


class _Connections(urllib3.PoolManager):
    """Sends once, follows no redirect, and raises every refusal before the SDK reads something into it."""

    def __init__(self, place: Place, ca_file: str, timeout: float) -> None:
        super().__init__()  # for the SDK, which wants one of its kind, and empties it when it is let go of
        proxy = proxy_for(place)
        settings: dict[str, Any] = {
            "maxsize": _CONNECTIONS,
            "timeout": urllib3.Timeout(connect=min(timeout, _CONNECT_SECONDS), read=timeout),
            "cert_reqs": "CERT_REQUIRED",
            "ca_certs": ca_file,
            "blocksize": _PIECE,
        }
        self._pool = (
            urllib3.ProxyManager(proxy.url, proxy_headers=proxy.headers, **settings)
            if proxy
            else urllib3.PoolManager(**settings)
        )

    def urlopen(self, method: str, url: str, redirect: bool = True, **kw: Any) -> BaseHTTPResponse:  # type: ignore[override]  # noqa: ARG002 - as the pool's own
        body = kw.get("body")
        if body is not None and len(body) > _PIECE:
            kw["body"] = _Pieces(body)
        response = self._pool.urlopen(method, url, redirect=False, **{**kw, "retries": False})
        if response.status not in (200, 204, 206):
            raise RefusalError(response.status, response.headers, response.data or b"")
        if method == "GET" and not response.chunked and "Content-Length" not in response.headers:
            raise ProtocolError("the answer does not say how long it is, and may have been cut")
        return response


def _certificates(ca_file: str | None, place: Place) -> str:
    """The file with the certificates to trust."""
    import certifi  # noqa: PLC0415 - with the SDK, which has it

    named = ca_file or os.environ.get("SSL_CERT_FILE")
    if named and place.secure and not os.path.isfile(named):
        raise InvalidArgumentError(
            f"there is no file {named} with the certificates to trust for {place.endpoint}: look at ca_file=…, or at "
            "SSL_CERT_FILE"
        )
    return named or certifi.where()


class _Pieces:
    """A body that is handed to the socket in pieces, so that the timeout is for each of them.

    In one piece it would be for all: a pack of 32 MiB would need 25 Mbit/s to be sent in the ten seconds that
    connecting may take.
    """

    def __init__(self, body: Buffer) -> None:
        self._view = memoryview(body)
        self._at = 0

    def read(self, size: int = -1) -> memoryview:
        end = len(self._view) if size < 0 else self._at + size
        piece = self._view[self._at : end]
        self._at += len(piece)
        return piece


def _element(text: str, name: str) -> str:
    """The content of the first element of this name. Never fails: an answer may be cut, or no XML at all."""
    found = re.search(rf"<{name}>([^<]*)</{name}>", text)
    return html.unescape(found[1]).strip() if found else ""


def _words(error: Exception) -> str:
    """What went wrong, without the objects that it went wrong with."""
    reason = next((one for one in (*error.args, error.__cause__) if isinstance(one, Exception)), None)
    if isinstance(error, ProtocolError) and reason is not None:
        return _words(reason)
    return (
        re.sub(r"^<?[\w.]*HTTPS?Connection\w*\([^)]*\)( at 0x\w+>)?: ", "", str(error))
        or type(error).__name__
    )
