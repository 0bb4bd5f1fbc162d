"""The proxy between here and a server, where the environment names one: as for all other programs of this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from casreg.backends.base import shown
from casreg.exceptions import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from casreg.backends.s3.place import Place


class Proxy(NamedTuple):
    """Where a proxy is, and with which headers it is asked: they may hold a password."""

    url: str
    headers: Mapping[str, str]

    def __repr__(self) -> str:
        return f"Proxy({self.url!r})"


def proxy_for(place: Place) -> Proxy | None:
    """The proxy by which a server is reached: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, and not for `NO_PROXY`.

    None for a server on this machine: no proxy leads there.

    Raises:
        InvalidArgumentError: What the environment names is no proxy that speaks HTTP.
    """
    from urllib3.util import make_headers  # noqa: PLC0415 - with the SDK

    if place.near or proxy_bypass(place.host):
        return None
    found = getproxies()
    named = found.get("https" if place.secure else "http") or found.get("all")
    if not named:
        return None
    parts = urlsplit(named if "://" in named else f"http://{named}")
    if parts.scheme.lower() not in ("http", "https") or not parts.hostname:
        raise InvalidArgumentError(
            f"the environment has {shown(named)!r:.200} as the proxy for {place.endpoint}; only those that speak HTTP can be "
            "used. Name one, or name this server in NO_PROXY"
        )
    user = f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username else None
    return Proxy(
        f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}",
        make_headers(proxy_basic_auth=user) if user else {},
    )
