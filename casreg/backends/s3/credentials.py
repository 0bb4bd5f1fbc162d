"""Where keys come from: arguments, else what the storage's own tools read, in their order."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from casreg.exceptions import CasregError, InvalidArgumentError, StoragePermissionError

if TYPE_CHECKING:
    from minio.credentials.credentials import Credentials
    from minio.credentials.providers import Provider

    from casreg.backends.s3.place import Place

_ROLES: Final = (
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
"""Variables by which a platform says that it gives roles."""


@dataclass(frozen=True, slots=True)
class Keys:
    """What a caller gave. Shows nothing of it.

    Raises:
        InvalidArgumentError: One is there without the other.
    """

    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.access_key == "" or self.secret_key == "":
            # A variable that is not set, most likely: whoever names keys does not mean somebody else's.
            raise InvalidArgumentError(
                "access_key or secret_key is empty: give both, or leave both out to take them from the environment"
            )
        if bool(self.access_key) != bool(self.secret_key) or (self.session_token and not self.access_key):
            raise InvalidArgumentError(
                "access_key and secret_key go together (and a session_token with both): give both, or none to take "
                "them from the environment"
            )


def provider_of(keys: Keys, place: Place) -> Provider:
    """Gives keys for each request: those of the caller, or the first of what this machine has.

    That is `AWS_ACCESS_KEY_ID` and its kin, `MINIO_ACCESS_KEY`, the AWS credentials file (`AWS_PROFILE`), the file of
    the `mc` tool if `MINIO_ALIAS` names an entry, and roles of containers and instances.
    """
    from minio.credentials.providers import (
        AWSConfigProvider,
        ChainedProvider,
        EnvAWSProvider,
        EnvMinioProvider,
        MinioClientConfigProvider,
        StaticProvider,
    )

    if keys.access_key and keys.secret_key:
        return _named(StaticProvider(keys.access_key, keys.secret_key, keys.session_token), place)
    found: list[Provider] = [EnvAWSProvider(), EnvMinioProvider(), AWSConfigProvider()]
    if os.environ.get("MINIO_ALIAS"):
        found.append(MinioClientConfigProvider())
    if place.amazon or any(os.environ.get(name) for name in _ROLES):
        # Asking an instance for its role takes seconds where there is none: only where there may be one.
        found.append(_roles())
    return _named(ChainedProvider(found), place)


def _roles() -> Provider:
    from minio.credentials.providers import IamAwsProvider
    from urllib3 import PoolManager, Retry, Timeout  # noqa: PLC0415 - as above

    patience = Timeout(connect=1, read=5)
    return IamAwsProvider(
        http_client=PoolManager(timeout=patience, retries=Retry(total=1, backoff_factor=0.2))
    )


def _named(provider: Provider, place: Place) -> Provider:
    """The provider, whose failure says what was looked for, and whose keys are not shown."""
    from minio.credentials.credentials import Credentials as Shown
    from minio.credentials.providers import Provider as Base

    class Hidden(Shown):
        """Keys that the SDK has in its variables, which some tools print with every traceback."""

        def __repr__(self) -> str:
            return "Credentials(…)"

    class Named(Base):
        def retrieve(self) -> Credentials:
            try:
                found = provider.retrieve()
            except CasregError:
                raise
            except Exception as err:  # of files, parsers, roles and networks: the SDK names no kinds
                raise StoragePermissionError(
                    f"there are no credentials for {place.endpoint}: give access_key and secret_key, set "
                    "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or write them to ~/.aws/credentials. "
                    "A backend that was pickled leaves its keys behind, and finds those of the machine it arrives at"
                ) from err
            return Hidden(found.access_key, found.secret_key, found.session_token, found.expiration)

    return Named()
