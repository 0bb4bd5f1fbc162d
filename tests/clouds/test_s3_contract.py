"""What every backend promises, on a real server of S3."""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING

import pytest

from casreg import MinioRegistryBackend
from casreg.testing import BackendContract, servers

if TYPE_CHECKING:
    from pathlib import Path

    from casreg.backends.base import Backend

pytestmark = pytest.mark.clouds

numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def keys_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other processes, which get a pickle without credentials, find them there."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", servers.ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", servers.SECRET_KEY)


class TestSeaweedFS(BackendContract):
    """Each test has a prefix of its own in one bucket."""

    @pytest.fixture(autouse=True)
    def server(self, seaweedfs: servers.Server) -> None:
        self.endpoint = seaweedfs.endpoint

    def make_backend(self, folder: Path) -> Backend:
        return MinioRegistryBackend(
            endpoint=self.endpoint,
            bucket="contract",
            prefix=f"{os.getpid()}/{next(numbers)}",
            secure=False,
            access_key=servers.ACCESS_KEY,
            secret_key=servers.SECRET_KEY,
        )


class TestSeaweedFSWithoutPrefix(TestSeaweedFS):
    """Each test has a bucket of its own, which its first write makes."""

    def make_backend(self, folder: Path) -> Backend:
        return MinioRegistryBackend(endpoint=self.endpoint, bucket=f"contract-{next(numbers)}", secure=False)
