"""Requests: the connections they go through, sent once each, and answers read to their end."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from casreg.backends.gcs.answers import Answer, failed, unclear
from casreg.backends.gcs.credentials import credentials_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.auth.credentials import Credentials
    from google.auth.transport.requests import AuthorizedSession

    from casreg.backends.gcs.place import Place
    from casreg.backends.gcs.upload import Upload

_CONNECTIONS: Final = 64
"""Kept open at most. More threads than that at once work too, and open more for themselves."""

_CONNECT_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Opened:
    """Connections of one process.

    Attributes:
        pid: Of that process. A forked child would share sockets with its parent, so it opens its own.
        session: Sends requests, with a token where one is needed. Safe in many threads.
        credentials: Whose.
        project: Theirs, or the one that was named; None if neither is known.
    """

    pid: int
    session: AuthorizedSession
    credentials: Credentials
    project: str | None


class Connection:
    """Sends requests to a place. Opened at the first of them, and anew after a fork; for any number of threads.

    Args:
        place: Where.
        credentials_path: Whose credentials; None for those that the machine has.
        timeout: Seconds without a sign of life after which a request has failed.
    """

    def __init__(self, place: Place, credentials_path: str | None, timeout: float) -> None:
        self._place = place
        self._credentials_path = credentials_path
        self._timeout = timeout
        # Proxies of the environment are used, as `requests` does; but none of them leads to this machine.
        self._proxies = {"no_proxy": place.host} if place.near else None
        self._opened: Opened | None = None

    @property
    def timeouts(self) -> tuple[float, float]:
        """Seconds to connect, and between two signs of life."""
        return min(_CONNECT_SECONDS, self._timeout), self._timeout

    def opened(self) -> Opened:
        """The connections of this process.

        Raises:
            StoragePermissionError: There are no credentials where they should be. Nothing else is tried then.
        """
        # Without a lock, which a fork could leave taken: if two threads open at once, one pool serves one request.
        opened = self._opened
        if opened is None or opened.pid != os.getpid():
            opened = self._opened = _open(self._place, self._credentials_path)
        return opened

    def send(
        self,
        what: str,
        method: str,
        path: str,
        parameters: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Upload | None = None,
    ) -> Answer:
        """Send one request, once, and read its answer to the end, whatever that says. `what` is for messages.

        A token that has ended before its time is replaced by another: then it is sent once more, since what was
        answered with 401 was not done.

        Raises:
            StorageError: There are no credentials, or no whole answer came.
        """
        opened = self.opened()
        answer = self._send(opened, what, method, path, parameters, headers, body)
        if answer.status != 401 or opened.credentials.token is None:
            return answer
        self._opened = None
        return self._send(self.opened(), what, method, path, parameters, headers, body)

    def _send(
        self,
        opened: Opened,
        what: str,
        method: str,
        path: str,
        parameters: Mapping[str, str] | None,
        headers: Mapping[str, str] | None,
        body: Upload | None,
    ) -> Answer:
        try:
            with opened.session.request(
                method,
                self._place.endpoint + path,
                params=parameters,
                headers={"Accept-Encoding": "identity", **(headers or {})},
                data=body,
                timeout=self.timeouts,
                allow_redirects=False,
                stream=True,
                proxies=self._proxies,
            ) as response:
                # Past `requests`, which hands large bodies over in small pieces. A body that is cut off is an error.
                content = response.raw.read(decode_content=True)
                has_end = response.raw.chunked or "Content-Length" in response.headers
                answer = Answer(response.status_code, response.headers, content)
        except transport_errors() as err:
            raise failed(err, what, self._timeout) from err
        if method == "GET" and answer.status in (200, 206) and not has_end:
            raise unclear(what, "it does not say how long it is, and may have been cut")
        return answer


def transport_errors() -> tuple[type[Exception], ...]:
    """What the libraries raise when no answer comes: requests' own errors are among those of the system."""
    from google.auth.exceptions import GoogleAuthError
    from urllib3.exceptions import HTTPError  # noqa: PLC0415 - heavy

    return OSError, HTTPError, GoogleAuthError


def _open(place: Place, credentials_path: str | None) -> Opened:
    """Find credentials, and make the pool of connections. Asks the network for ambient credentials alone."""
    from google.auth.transport.requests import AuthorizedSession
    from requests.adapters import HTTPAdapter  # noqa: PLC0415 - heavy

    credentials, project = credentials_for(place, credentials_path)
    # Never a second attempt below this module, and none that leaves the first answer's connection open.
    session = AuthorizedSession(credentials, refresh_status_codes=())
    adapter = HTTPAdapter(pool_connections=4, pool_maxsize=_CONNECTIONS, max_retries=0)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    session.auth = _as_it_is
    return Opened(os.getpid(), session, credentials, place.project or project)


def _as_it_is(request: Any) -> Any:
    """No further authentication: without one, requests would look for a password in the user's `.netrc`."""
    return request
