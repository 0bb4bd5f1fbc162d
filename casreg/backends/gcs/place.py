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
_OPTIONS: Final = frozenset({"endpoint", "project"})
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
    def host(self) -> str:
        """The name or the address of the endpoint, without a port."""
        return urlsplit(self.endpoint).hostname or ""

    @property
    def near(self) -> bool:
        """Whether the endpoint is on this machine: a server for tests, which knows no accounts and no limits."""
        return _is_near(self.host)


def place_of(
    uri: str | None, bucket_name: str | None, prefix: str, endpoint: str | None, project_id: str | None
) -> Place:
    """The place that the arguments and the URI name together. With a `bucket_name`, the URI is a label and says nothing.

    Raises:
        InvalidArgumentError: They name no bucket, contradict each other, or one of them is not what it must be.
    """
    if uri is not None:
        check_open(uri)
    path, options = "", dict[str, str]()
    bucket = bucket_name
    if bucket is None:
        bucket, path, options = _parts(uri)
    if not _BUCKET.fullmatch(bucket):
        # What stands at that place of a URI may be a password that nobody meant to put there.
        said = f"uri={shown(uri or '')!r:.80}" if bucket_name is None else f"bucket_name={bucket_name!r:.80}"
        raise InvalidArgumentError(
            f"{said} names no bucket: give its name, of 3 and more lower-case letters, digits, dots, - and _, or a URI such "
            "as gs://bucket/prefix"
        )
    return Place(
        bucket,
        _prefix(_one("prefix", prefix.strip("/"), path)),
        _endpoint(_one("endpoint", endpoint, options.get("endpoint")) or GOOGLE),
        _one("project_id", project_id, options.get("project")) or None,
    )


def _parts(uri: str | None) -> tuple[str, str, dict[str, str]]:
    """Bucket, path and options of a URI."""
    if uri is None:
        raise InvalidArgumentError("which bucket? Give bucket_name=…, or a URI such as gs://bucket/prefix")
    parts = _split(uri)
    if parts.scheme.lower() != "gs":
        raise InvalidArgumentError(f"{shown(uri)!r:.200} is no bucket of Google's: write gs://bucket/prefix")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = sorted(options.keys() - _OPTIONS)
    if unknown or parts.fragment:
        # Names only: the values may be secrets that somebody thought belonged here.
        raise InvalidArgumentError(
            f"{shown(uri)!r:.200} may have the options endpoint and project, not {', '.join(unknown) or 'a fragment'}. "
            "Credentials are never part of a URI: give credentials_path=…"
        )
    return parts.netloc, unquote(parts.path).strip("/"), options


def _one(what: str, argument: str | None, option: str | None) -> str:
    """What the argument or the URI says, if not both say something else."""
    if argument and option and argument != option:
        raise InvalidArgumentError(
            f"the URI and the argument {what} say two different things: leave one out, or name the bucket with bucket_name=…"
        )
    return argument or option or ""


def _prefix(text: str) -> str:
    if not text:
        return ""
    if len(text) > _LONGEST_PREFIX or not all(is_segment(segment) for segment in text.split("/")):
        raise InvalidArgumentError(
            f"{text!r:.80} is no prefix for keys: it takes names of printable ASCII characters between single slashes, "
            f'without spaces and \\ : * ? " < > |, {_LONGEST_PREFIX} characters at most'
        )
    return f"{text}/"


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
