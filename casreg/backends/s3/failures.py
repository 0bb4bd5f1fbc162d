"""From what a server or a connection says to casreg's errors, each with the place and a way out."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from time import time
from typing import TYPE_CHECKING, Final

from casreg.backends.base import shown
from casreg.backends.s3.wire import BrokenError, RefusalError
from casreg.exceptions import (
    StorageError,
    StorageFullError,
    StoragePermissionError,
    StorageUnavailableError,
    UnsafeStorageError,
)

if TYPE_CHECKING:
    from casreg.backends.s3.place import Place
    from casreg.backends.s3.wire import WireError

_CLOCK: Final = frozenset({"RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture"})
_KEYS: Final = frozenset(
    {
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "InvalidToken",
        "ExpiredToken",
        "TokenRefreshRequired",
        "InvalidSecurity",
        "NotSignedUp",
    }
)
_FULL: Final = frozenset(
    {"QuotaExceeded", "StorageFull", "InsufficientStorage", "InsufficientCapacity", "XMinioStorageFull"}
    | {"XMinioAdminBucketQuotaExceeded", "ExceededBucketQuota", "NoSpaceLeft"}
)
_REGION: Final = frozenset(
    {
        "PermanentRedirect",
        "TemporaryRedirect",
        "AuthorizationHeaderMalformed",
        "IllegalLocationConstraintException",
    }
)
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
NO_BUCKET: Final = "NoSuchBucket"


def storage_error(error: WireError, doing: str, place: Place) -> StorageError:
    """The error for callers. `doing` says what was tried, as in "read 'refs/a'"."""
    where = f"cannot {doing} in the bucket {place.bucket!r} at {place.endpoint}"
    if isinstance(error, RefusalError):
        return _refused(error, where, place)
    assert isinstance(error, BrokenError)
    if error.tls:
        return StorageUnavailableError(
            f"{where}: no secure connection ({error}). If its certificate is one of your own, name it with ca_file=…; "
            "if it speaks plain http, say secure=False (in a URI, endpoint=http://…)"
        )
    return StorageUnavailableError(f"{where}: {error}. Is the endpoint right, and does the server run?")


def _refused(error: RefusalError, where: str, place: Place) -> StorageError:
    said = f"{where}: {error}"
    if error.code in _CLOCK:
        return StoragePermissionError(
            f"{where}: the clocks differ too much{_difference(error)}. Set the clock of this machine ({error})"
        )
    if error.code in _KEYS:
        return StoragePermissionError(
            f"{said}. The server does not take these credentials: look at access_key, secret_key and session_token, or "
            "where they come from"
        )
    if error.code in _FULL or error.status == 507:
        return StorageFullError(f"{said}. Make room there, or raise the quota")
    if error.code in _REGION or (error.status in _REDIRECTS and error.region):
        region = f"region={error.region!r}" if error.region else "the region of the bucket"
        return StorageUnavailableError(f"{said}. The bucket is in another region: give {region}")
    if error.status in _REDIRECTS:
        target = shown(error.headers.get("Location", "")) or "elsewhere"
        return StorageUnavailableError(
            f"{where}: the server sends whoever asks to {target!r:.200}, where casreg does not follow. Give the endpoint that "
            "answers itself"
        )
    if error.code == NO_BUCKET:
        return StorageUnavailableError(
            f"{where}: there is no such bucket. Make it, or let it be made (create_bucket=True); or is the endpoint another?"
        )
    if error.status in (401, 403):
        return StoragePermissionError(
            f"{said or 'not allowed'}. The credentials do not allow this: the policy of their owner has to. (Without "
            "the right to list the bucket, S3 also says so of what is not there.)"
        )
    if error.status == 501:
        return UnsafeStorageError(
            f"{said}. This server does not know conditional writes, without which work could be lost: use one that does"
        )
    if not error.code and not error.passing:
        return no_s3(f"{where}: the answer {error.status}", place)
    return StorageUnavailableError(f"{said}. Try again later" if error.passing else said)


def no_s3(what: str, place: Place) -> StorageUnavailableError:
    """The error for an answer that no S3 gives."""
    hint = " If it speaks https, leave secure=False out." if not place.secure else ""
    return StorageUnavailableError(f"{what} is none of S3's. Is {place.endpoint} the right endpoint?{hint}")


def _difference(error: RefusalError) -> str:
    try:
        theirs = parsedate_to_datetime(error.headers.get("Date", "")).timestamp()
    except (TypeError, ValueError):
        return ""
    ahead = time() - theirs
    if abs(ahead) < 60:
        return ""
    return f": this one is {abs(ahead) / 60:.0f} minutes {'ahead' if ahead > 0 else 'behind'}"
