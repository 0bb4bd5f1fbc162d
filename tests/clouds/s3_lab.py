"""What the tests of S3 share: backends on a server, and numbers for places that nobody else uses."""

from __future__ import annotations

import itertools
import os
from typing import Any

from casreg import MinioRegistryBackend, Registry
from casreg.testing import servers

_numbers = itertools.count(1)


def new_prefix() -> str:
    """A place of one's own in a bucket that many tests share."""
    return f"{os.getpid()}/{next(_numbers)}"


def backend(endpoint: str, prefix: str | None = None, **settings: Any) -> MinioRegistryBackend:
    """A backend with the servers' keys, in a bucket that all tests share, unless `settings` say otherwise."""
    defaults: dict[str, Any] = {
        "endpoint": endpoint,
        "access_key": servers.ACCESS_KEY,
        "secret_key": servers.SECRET_KEY,
        "bucket": "tests",
        "prefix": new_prefix() if prefix is None else prefix,
        "secure": False,
        "timeout": 10.0,
    }
    return MinioRegistryBackend(**{**defaults, **settings})


def registry(endpoint: str, prefix: str | None = None, **settings: Any) -> Registry:
    """A registry without a cache on such a backend."""
    return Registry(backend(endpoint, prefix, **settings), cache=False)
