"""Which bucket on which server, from what callers write. No I/O."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from casreg.backends.base import check_open, shown
from casreg.backends.key_rules import is_key
from casreg.exceptions import InvalidArgumentError

AWS: Final = "s3.amazonaws.com"
"""Where `s3://bucket` without an endpoint is."""

_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")
_HOST: Final = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?")
_REGION: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_LONGEST_PREFIX: Final = 255
_DEFAULT_PORTS: Final = {True: ":443", False: ":80"}


@dataclass(frozen=True, slots=True)
class Place:
    """A place on a server. Equal places are one; none of it is secret.

    Attributes:
        host: `host` or `host:port`, in lower case.
        secure: Whether it is spoken to by https.
        bucket: The bucket.
        prefix: What all keys begin with there: empty, or a path that ends in a slash.
        region: None where nobody said.
    """

    host: str
    secure: bool
    bucket: str
    prefix: str
    region: str | None

    @property
    def endpoint(self) -> str:
        """`https://host:port`."""
        return f"{'https' if self.secure else 'http'}://{self.host}"

    @property
    def near(self) -> bool:
        """Whether it is this machine."""
        return _is_loopback(self.host)

    @property
    def amazon(self) -> bool:
        """Whether it is Amazon's own, in China too."""
        return f".{self.host}".endswith((".amazonaws.com", ".amazonaws.com.cn"))

    @property
    def uri(self) -> str:
        """The URI of the place, by which it can be opened again."""
        path = f"/{quote(self.prefix[:-1])}" if self.prefix else ""
        said = "" if self.secure or self.near else "&secure=false"
        return f"s3://{self.bucket}{path}?endpoint={self.endpoint}{said}"


def place_of(
    uri: str | None,
    *,
    endpoint: str | None,
    bucket: str | None,
    secure: bool | None,
    region: str | None,
    prefix: str,
) -> Place:
    """The place that arguments and URI name together. With a `bucket`, the URI is a label and says nothing.

    Raises:
        InvalidArgumentError: They name none, or contradict each other, or plain http would leave this machine.
    """
    if uri is not None:
        check_open(uri)
    options: dict[str, str] = {}
    if bucket is None:
        bucket, path, options = _parts(uri)
        prefix = _one("prefix", prefix, path) or ""
        secure = _secure(secure, options.get("secure"))
    host, safe = _server(_one("endpoint", endpoint, options.get("endpoint")) or AWS, secure)
    region = _one("region", region, options.get("region"))
    if not _BUCKET.fullmatch(bucket):
        named = (
            "what the URI names" if ":" in bucket else repr(bucket)[:80]
        )  # there may be a password behind a colon
        raise InvalidArgumentError(
            f"{named} is no name of a bucket: it takes 3 to 63 letters, digits, dots and hyphens"
        )
    if region is not None and not _REGION.fullmatch(region):
        raise InvalidArgumentError(f"{region!r:.80} is no region; one looks like 'eu-central-1'")
    return Place(host, safe, bucket, _prefix(prefix), region)


def _parts(uri: str | None) -> tuple[str, str, dict[str, str]]:
    """Bucket, prefix and options of a URI."""
    if uri is None:
        raise InvalidArgumentError(
            "which bucket? Give bucket=…, or a URI such as s3://bucket/prefix?endpoint=…"
        )
    parts = urlsplit(uri)
    if parts.scheme.lower() != "s3" or not parts.netloc:
        raise InvalidArgumentError(
            f"{shown(uri)!r:.200} names no bucket: give s3://bucket/prefix?endpoint=…, or the argument bucket"
        )
    if parts.fragment:
        raise InvalidArgumentError(f"{shown(uri)!r:.200} has a '#': write it as %23")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = options.keys() - {"endpoint", "region", "secure"}
    if unknown:
        # Names only: the values may be secrets that somebody thought belonged here.
        raise InvalidArgumentError(
            f"{shown(uri)!r:.200} may have the options endpoint, region and secure, not {', '.join(sorted(unknown))}. "
            "Credentials are arguments of MinioRegistryBackend, or come from the environment"
        )
    return parts.netloc, unquote(parts.path).strip("/"), options


def _one(what: str, argument: str | None, option: str | None) -> str | None:
    if argument and option and argument != option:
        raise InvalidArgumentError(f"the URI and the argument {what} say two different things: leave one out")
    return argument or option or None


def _secure(argument: bool | None, option: str | None) -> bool | None:
    if option is None:
        return argument
    said = {"true": True, "false": False}.get(option.lower())
    if said is None or argument not in (None, said):
        raise InvalidArgumentError(
            f"secure={option!r:.20} in the URI is neither true nor false, or contradicts the argument secure={argument}"
        )
    return said


def _server(endpoint: str, secure: bool | None) -> tuple[str, bool]:
    """Host and port, and whether by https."""
    scheme, separator, rest = endpoint.rpartition("://")
    host = rest.rstrip("/").lower()
    if scheme.lower() not in ("", "http", "https") or not _HOST.fullmatch(host):
        raise InvalidArgumentError(
            f"{shown(f'{scheme}{separator}{rest}')!r:.200} is no endpoint: it takes host:port, or http(s)://host:port"
            if "@" not in endpoint
            else "an endpoint is host:port, without user and password: credentials are arguments of their own"
        )
    said = {"http": False, "https": True}.get(scheme.lower())
    if secure is None:
        if said is False and not _is_loopback(host):
            raise InvalidArgumentError(
                f"{endpoint!r} is plain http to another machine: everybody on the way reads and changes what is sent. "
                "Use https, or say secure=False if that is meant (in a URI, &secure=false)"
            )
        secure = True if said is None else said
    elif said is not None and said != secure:
        raise InvalidArgumentError(f"endpoint={endpoint!r} and secure={secure} contradict each other")
    return host.removesuffix(_DEFAULT_PORTS[secure]), secure


def _is_loopback(host: str) -> bool:
    name = host.partition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _prefix(prefix: str) -> str:
    path = prefix.strip("/")
    if path and (not is_key(path) or len(path) > _LONGEST_PREFIX):
        raise InvalidArgumentError(
            f"{prefix!r:.200} is no prefix: it takes a relative path of at most {_LONGEST_PREFIX} printable ASCII "
            'characters, without spaces and \\ : * ? " < > |'
        )
    return f"{path}/" if path else ""
