"""Who we are to Google."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from casreg.exceptions import StoragePermissionError

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

    from casreg.backends.gcs.place import Place

_SCOPES: Final = ("https://www.googleapis.com/auth/devstorage.read_write",)


def credentials_for(place: Place, path: str | None) -> tuple[Credentials, str | None]:
    """The credentials to use at a place, and the project that they belong to, if that is known.

    Raises:
        StoragePermissionError: There are none where they should be. Nothing else is tried then.
    """
    from google.auth.credentials import AnonymousCredentials

    if path is not None:
        return _from_file(place, path)
    if place.near:
        return AnonymousCredentials(), "local"
    return _ambient(place)


def _ambient(place: Place) -> tuple[Credentials, str | None]:
    """What `gcloud`, the environment, or the machine itself has: Google's application default credentials."""
    from google.auth import default
    from google.auth.exceptions import GoogleAuthError

    with suppress(GoogleAuthError):
        found: tuple[Credentials, str | None] = default(scopes=_SCOPES)
        return found
    # Raised here, with no cause: a file that is damaged would be among the variables of what failed.
    named = os.environ.get("GOOGLE_APPLICATION_CREDENTIALS")
    if named:
        raise StoragePermissionError(
            f"there are no credentials for {place.location}: GOOGLE_APPLICATION_CREDENTIALS names {named!r}, which is not there "
            "or holds none that can be used. Name another file, or give credentials_path=…"
        )
    raise StoragePermissionError(
        f"there are no credentials for {place.location}: give credentials_path=… (the key of a service account), set "
        "GOOGLE_APPLICATION_CREDENTIALS, or run `gcloud auth application-default login`"
    )


def _from_file(place: Place, path: str) -> tuple[Credentials, str | None]:
    """The credentials in a file, and never others: who named a file does not mean somebody else's account.

    Raises:
        StoragePermissionError: It is not there, cannot be read, or is something else.
    """
    found = _read(path)
    if isinstance(found, str):
        # Raised here, with no cause: whatever failed has the content of the file among its variables, or its attributes.
        raise StoragePermissionError(
            f"the credentials file {path} for {place.location} {found}. Give the path of a service account's key (JSON), or "
            "leave credentials_path out to use the ambient credentials (GOOGLE_APPLICATION_CREDENTIALS, gcloud, the machine)"
        )
    return found


def _read(path: str) -> tuple[Credentials, str | None] | str:
    """The credentials in a file, or why there are none."""
    from google.auth.exceptions import GoogleAuthError
    from google.oauth2 import credentials, service_account

    try:
        with open(path, encoding="utf-8") as file:
            info = json.load(file)
        kind = info.get("type") if isinstance(info, dict) else None
        if kind == "service_account":
            key = service_account.Credentials.from_service_account_info(info, scopes=_SCOPES)
            return key, info.get("project_id")
        if kind == "authorized_user":
            user = credentials.Credentials.from_authorized_user_info(info, scopes=_SCOPES)
            return user, info.get("quota_project_id")
    except FileNotFoundError:
        return "does not exist"
    except OSError as err:
        return f"cannot be read ({err.strerror})"
    except (ValueError, GoogleAuthError) as err:
        return f"is damaged ({type(err).__name__})"
    return "is neither the key of a service account nor that of a user"
