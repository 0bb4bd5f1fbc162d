"""The kinds of place that a registry can be at, and new places of each: for suites that hold for all of them."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from casreg import GCPRegistryBackend, MinioRegistryBackend
from casreg.backends.local import LocalBackend
from casreg.backends.memory import MemoryBackend

if TYPE_CHECKING:
    from pathlib import Path

    from casreg.backends.base import Backend
    from casreg.backends.local import FileSystem

CLOUDS = (pytest.param("s3", marks=pytest.mark.clouds), pytest.param("gcs", marks=pytest.mark.clouds))
"""Buckets, on real servers."""

SHARED = ("local", *CLOUDS)
"""What other processes reach too."""

KINDS = ("memory", *SHARED)
"""All."""

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Places:
    """New places of one kind.

    Attributes:
        kind: `memory`, `local`, `s3` or `gcs`.
        folder: What local ones are made in.
        url: Of the server, for buckets.
        file_system: Of local ones, if not the usual one.
    """

    kind: str
    folder: Path
    url: str = ""
    file_system: FileSystem | None = None

    def new(self) -> Backend:
        """An empty place, apart from all others. Its location opens it too, also in other processes."""
        own = f"{os.getpid()}-{next(_numbers)}"
        match self.kind:
            case "memory":
                return MemoryBackend()
            case "local":
                return LocalBackend(self.folder / f"place-{own}", file_system=self.file_system)
            case "s3":  # one bucket for all, since each costs the server volumes
                return MinioRegistryBackend(f"s3://places/{own}?endpoint={self.url}")
            case "gcs":  # a bucket for each, since the server walks through all of it to list a prefix
                return GCPRegistryBackend(f"gs://places-{own}/prefix?endpoint={self.url}")
        raise AssertionError(f"there are no places of the kind {self.kind!r}")
