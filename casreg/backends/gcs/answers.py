"""What answers of Google's, and missing ones, mean in casreg's words."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from casreg.exceptions import StorageError, StoragePermissionError, StorageUnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

_TELLS: Final = 300
"""Characters of what a server says that are repeated."""

_BUSY: Final = frozenset({"rateLimitExceeded", "userRateLimitExceeded", "dailyLimitExceeded"})
_ROLES: Final = "docs/backends.md lists what a reader, a writer and a collector need"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, whole.

    Attributes:
        status: Of HTTP.
        headers: By name, whatever its case.
        body: All of it.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def missing(self) -> bool:
        """Whether it says that something is not there. The pages of other servers, which have nothing at all, do not."""
        if self.status != 404 or self.body.lstrip().startswith(b"<"):
            return False
        try:
            return "error" in self.fields()
        except ValueError:
            return True  # no JSON: so Google answers to whoever asks for bytes

    def fields(self) -> dict[str, Any]:
        """The JSON object that the body is.

        Raises:
            ValueError: It is something else.
        """
        found = json.loads(self.body)
        if not isinstance(found, dict):
            raise ValueError(f"a JSON object was to come, and {type(found).__name__} came")  # noqa: TRY004 - of the body
        return found


def refused(answer: Answer, what: str) -> StorageError:
    """The error that an answer with a status of no success stands for. `what` was to be done, and where."""
    message, reason = _message(answer)
    told = f"{what} failed: {answer.status}{', ' if message else ''}{message}"
    if answer.status == 401:
        return StoragePermissionError(
            f"{told}. The storage does not know these credentials: see that the account still exists and has this key, "
            "and that this machine's clock is right"
        )
    if answer.status == 403 and reason not in _BUSY:
        return StoragePermissionError(f"{told}. The account may not do that; {_ROLES}")
    if answer.status in (403, 408, 409, 425, 429) or answer.status >= 500:
        return StorageUnavailableError(f"{told}. Try again later")
    if 300 <= answer.status < 400 or answer.status == 404:
        return StorageError(f"{told}. This is no endpoint of Google Cloud Storage; see what `endpoint` says")
    return StorageError(told)


def failed(err: Exception, what: str, seconds: float) -> StorageError:
    """The error for an answer that never came, or not whole. `what` was to be done, and where."""
    from google.auth.exceptions import GoogleAuthError, TransportError
    from requests.exceptions import SSLError, Timeout  # noqa: PLC0415 - as above
    from urllib3.exceptions import TimeoutError as SlowError  # noqa: PLC0415 - as above

    told = f"{what} failed: {_reason(err)}"
    if isinstance(err, GoogleAuthError):
        if isinstance(err, TransportError) or err.retryable:
            return StorageUnavailableError(f"{told}. No token could be had; see that the network is there")
        return StoragePermissionError(
            f"{told}. Google gives no token for these credentials: see that the account still exists and has this key, "
            "and that this machine's clock is right"
        )
    if isinstance(err, SSLError):
        return StorageUnavailableError(
            f"{told}. See that `endpoint` is right, and whose certificates are trusted"
        )
    if isinstance(err, Timeout | SlowError) or "timed out" in str(err):
        return StorageUnavailableError(
            f"{what} failed: no answer within {seconds:g} s. See that the network is there"
        )
    return StorageUnavailableError(f"{told}. See that `endpoint` is right, and that the network is there")


def unclear(what: str, why: object) -> StorageUnavailableError:
    """The error for an answer of success that makes no sense: whatever was asked may have happened."""
    return StorageUnavailableError(
        f"{what} failed: the answer cannot be understood ({why!s:.100}). Try again later"
    )


def _message(answer: Answer) -> tuple[str, str]:
    """What the server says of its error, and its word for the reason."""
    try:
        error = answer.fields().get("error")
    except ValueError:
        text = answer.body[:_TELLS].decode("utf-8", "replace")
        return ("" if "<" in text else " ".join(text.split())), ""  # a page for browsers helps nobody
    if not isinstance(error, dict):
        return "", ""
    reasons = error.get("errors")
    first = reasons[0] if isinstance(reasons, list) and reasons and isinstance(reasons[0], dict) else {}
    return " ".join(str(error.get("message", "")).split())[:_TELLS], str(first.get("reason", ""))


def _reason(err: Exception) -> str:
    """The innermost cause that the libraries' errors wrap, in one line."""
    inner: BaseException = err
    while True:
        causes = (getattr(inner, "reason", None), *inner.args)
        deeper = next((cause for cause in causes if isinstance(cause, BaseException)), None)
        if deeper is None:
            break
        inner = deeper
    text = " ".join(str(inner).split())
    return (text.rpartition(">: ")[2] or type(err).__name__)[:_TELLS]
