"""Which bucket, at which endpoint, below which prefix: from what callers write. Nothing here asks anybody."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from casreg.backends.base import check_open, shown
from casreg.backends.key_rules import is_segment
from casreg.exceptions import InvalidArgumentError

GOOGLE: Final = "https://storage.googleapis.com"

_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_QUERY: Final = frozenset({"endpoint", "project"})
_LONGEST_PREFIX: Final = 700
"""Google takes names of 1,024 bytes; no key that casreg makes is longer than 250."""


@dataclass(frozen=True, slots=True)
class Place:
    """A part of a bucket.

    Attributes:
        bucket: Its name.
        prefix: What the names of all objects begin with: empty, or with a slash at its end.
        endpoint: `https://host`, or `http://host:port` on this machine; without a slash at its end.
        project: The project that the bucket is made in; None if nobody said.
    """

    bucket: str
    prefix: str
    endpoint: str
    project: str | None

    @property
    def location(self) -> str:
        """The `gs://` URI: bucket and prefix, and the endpoint unless it is Google's."""
        prefix = quote(self.prefix.rstrip("/"))
        query = "" if self.endpoint == GOOGLE else f"?endpoint={quote(self.endpoint, safe=':/[]')}"
        return f"gs://{self.bucket}{'/' if prefix else ''}{prefix}{query}"

    @property
    def near(self) -> bool:
        """Whether the endpoint is on this machine: a server for tests, which knows no accounts and no limits."""
        return _is_near(urlsplit(self.endpoint).hostname or "")


def place_of(
    uri: str | None, bucket_name: str | None, prefix: str, endpoint: str | None, project_id: str | None
) -> Place:
    """The place that the arguments of a backend name; each wins over its part of the URI.

    Raises:
        InvalidArgumentError: They name no bucket, or one of them is not what it must be.
    """
    named, path, query = _parts(uri, labelled=bucket_name is not None)
    if not _BUCKET.fullmatch(bucket_name or named):
        # What stands at that place of a URI may be a password that nobody meant to put there.
        said = f"bucket_name={bucket_name!r:.80}" if bucket_name else f"uri={shown(uri or '')!r:.80}"
        raise InvalidArgumentError(
            f"{said} names no bucket: give its name, of 3 and more lower-case letters, digits, dots, - and _, or a URI such "
            "as gs://bucket/prefix"
        )
    return Place(
        bucket_name or named,
        _prefix(prefix or path),
        _endpoint(endpoint or query.get("endpoint") or GOOGLE),
        project_id or query.get("project") or None,
    )


def _parts(uri: str | None, *, labelled: bool) -> tuple[str, str, dict[str, str]]:
    """Bucket, path and query of a URI. Its scheme is a mere label where the bucket was named otherwise."""
    if uri is None:
        return "", "", {}
    if not _URI.match(uri):
        raise InvalidArgumentError(f"uri={uri!r:.80} is no URI: write gs://bucket/prefix")
    check_open(uri)
    parts = _split(uri)
    if parts.scheme.lower() != "gs" and not labelled:
        raise InvalidArgumentError(f"{shown(uri)!r} is no bucket of Google's: write gs://bucket/prefix")
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    # What is unknown may be a secret: its name is told, its value is not.
    unknown = sorted(query.keys() - _QUERY)
    if unknown or parts.fragment:
        raise InvalidArgumentError(
            f"{shown(uri)!r} has {', '.join(unknown) or 'a fragment'} behind its path, which means nothing here: "
            "?endpoint=… and &project=… do. Credentials are never part of a URI"
        )
    return parts.netloc, unquote(parts.path), query


def _prefix(text: str) -> str:
    inner = text.strip("/")
    if not inner:
        return ""
    if len(inner) > _LONGEST_PREFIX or not all(is_segment(segment) for segment in inner.split("/")):
        raise InvalidArgumentError(
            f"{inner!r:.80} is no prefix for keys: it takes names of printable ASCII characters between single slashes, "
            f'without spaces and \\ : * ? " < > |, {_LONGEST_PREFIX} characters at most'
        )
    return f"{inner}/"


def _endpoint(text: str) -> str:
    host = _split(f"//{text}").hostname or "" if "://" not in text else ""
    full = text if "://" in text else f"{'http' if _is_near(host) else 'https'}://{text}"
    parts = _split(full)
    try:
        port = parts.port
    except ValueError:
        port = -1
    if parts.username or parts.password or parts.query or parts.fragment or not parts.hostname or port == -1:
        raise InvalidArgumentError(
            f"{shown(full)!r} is no endpoint: write https://host, or http://localhost:port for a server on this machine"
        )
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_near(parts.hostname)):
        raise InvalidArgumentError(
            f"the endpoint {full!r} would get credentials in the clear: write https://… (plain http only for a server on "
            "this machine)"
        )
    return full.rstrip("/")


def _split(text: str) -> SplitResult:
    try:
        return urlsplit(text)
    except ValueError as err:
        raise InvalidArgumentError(f"{shown(text)!r:.80} is no URI") from err


def _is_near(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
