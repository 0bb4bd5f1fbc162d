"""Where things are kept when the caller does not say: the one module that reads the environment for that.

An argument wins over the environment, the environment over the platform's own places.  Data goes to the
user's *data* folder, never to a cache that a cleaner may empty.  Nothing here touches the disk.

| variable              | place                                        |
| --------------------- | -------------------------------------------- |
| `CASREG_REGISTRY_DIR` | the folder of `Registry()`                   |
| `CASREG_STORE_DIR`    | the folder of `Store()`                      |
| `CASREG_CACHE_DIR`    | what can be lost: copies, hints              |
| `CASREG_CACHE_LIMIT`  | bytes of copies of remote data, or `20GiB`   |
| `CASREG_CONFIG`       | the file that names mounts                   |
| `CASREG_MOUNTS`       | more mounts of `Store()`: `location=place;…` |

A leading `~` is expanded.  An empty variable counts as one that is not set.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

import platformdirs

from casreg.exceptions import InvalidArgumentError

REGISTRY_DIR: Final = "CASREG_REGISTRY_DIR"
STORE_DIR: Final = "CASREG_STORE_DIR"
CACHE_DIR: Final = "CASREG_CACHE_DIR"
CACHE_LIMIT: Final = "CASREG_CACHE_LIMIT"
CONFIG: Final = "CASREG_CONFIG"
MOUNTS: Final = "CASREG_MOUNTS"

_APP: Final = "casreg"
_CACHE_LIMIT: Final = 10 * 1024**3
_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_BYTES: Final = re.compile(r"(\d+)\s*(?:([KMGT])(i?)B|B)?", re.ASCII | re.IGNORECASE)


def registry_dir() -> Path:
    """The absolute path of the folder of `Registry()`.

    Raises:
        InvalidArgumentError: `CASREG_REGISTRY_DIR` begins with a `~` that stands for no home folder, or is a URI.
    """
    return _from_environment(REGISTRY_DIR) or platformdirs.user_data_path(_APP, appauthor=False) / "registry"


def store_dir() -> Path:
    """The absolute path of the folder of `Store()`, another one than that of `Registry()`.

    Raises:
        InvalidArgumentError: `CASREG_STORE_DIR` begins with a `~` that stands for no home folder, or is a URI.
    """
    return _from_environment(STORE_DIR) or platformdirs.user_data_path(_APP, appauthor=False) / "store"


def cache_dir() -> Path:
    """The absolute path of the folder for what can be made again. Anybody may empty it at any time.

    Raises:
        InvalidArgumentError: `CASREG_CACHE_DIR` begins with a `~` that stands for no home folder, or is a URI.
    """
    return _from_environment(CACHE_DIR) or platformdirs.user_cache_path(_APP, appauthor=False)


def cache_limit() -> int:
    """Bytes on disk that copies of remote data may take where the caller does not say; 0 for no copies at all.

    Raises:
        InvalidArgumentError: `CASREG_CACHE_LIMIT` is no number of bytes.
    """
    text = os.environ.get(CACHE_LIMIT)
    return byte_count(text, CACHE_LIMIT) if text else _CACHE_LIMIT


def byte_count(value: int | str, what: str) -> int:
    """A number of bytes, from itself or from a text: `500MB` is 500,000,000 bytes, `20GiB` 20 times 1024³.

    Raises:
        InvalidArgumentError: It is something else, or less than nothing. Names `what`.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    match = _BYTES.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise InvalidArgumentError(
            f"{what} is a number of bytes, or a text such as '20GiB', not {value!r:.80}"
        )
    number, letter, binary = match.groups()
    power = "KMGT".index(letter.upper()) + 1 if letter else 0
    return int(number) * int((1024 if binary else 1000) ** power)


def config_path() -> Path:
    """The absolute path of the configuration file, which need not exist.

    Raises:
        InvalidArgumentError: `CASREG_CONFIG` begins with a `~` that stands for no home folder, or is a URI.
    """
    return _from_environment(CONFIG) or platformdirs.user_config_path(_APP, appauthor=False) / "config.toml"


def mounts_text() -> str | None:
    """What `CASREG_MOUNTS` holds, as it is; None when it is unset or empty."""
    return os.environ.get(MOUNTS) or None


def _from_environment(variable: str) -> Path | None:
    """The path that `variable` holds; None when it is unset or empty."""
    text = os.environ.get(variable)
    if not text:
        return None
    if _URI.match(
        text
    ):  # as a path it would be a folder called `s3:`; it may hold a password, and is not repeated
        raise InvalidArgumentError(
            f"{variable} holds a URI, and names a folder: write its path. Another storage is an argument of Registry or Store"
        )
    try:
        # Made absolute now, so that a later change of the working directory moves nothing.
        return Path(text).expanduser().absolute()
    except RuntimeError as err:
        message = f"{variable}={text}: there is no home folder for this '~'; write the path in full"
        raise InvalidArgumentError(message) from err
