"""Servers of the clouds, one of each for the whole run. One that does not start fails the tests; none is skipped."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from casreg.testing import servers
from casreg.testing.proxy import FaultProxy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def seaweedfs() -> Iterator[servers.Server]:
    """S3. Whoever kills it makes one of their own."""
    with servers.running(servers.seaweedfs()) as server:
        yield server


@pytest.fixture(scope="session")
def fake_gcs() -> Iterator[servers.Server]:
    """Google Cloud Storage. Whoever kills it makes one of their own."""
    with servers.running(servers.fake_gcs()) as server:
        yield server


@pytest.fixture(scope="session")
def rclone_s3() -> Iterator[servers.Server]:
    """S3 without conditional writes: has to be refused."""
    with servers.running(servers.rclone_s3()) as server:
        yield server


@pytest.fixture(scope="session")
def gcp_emulator() -> Iterator[servers.Server]:
    """Google Cloud Storage without preconditions: has to be refused."""
    with servers.running(servers.gcp_emulator()) as server:
        yield server


@pytest.fixture
def s3_proxy(seaweedfs: servers.Server) -> Iterator[FaultProxy]:
    """In front of S3, with no plan."""
    with FaultProxy(seaweedfs.endpoint) as proxy:
        yield proxy


@pytest.fixture(autouse=True)
def no_keys_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test finds the credentials of whoever runs it."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "MINIO_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-aws-credentials"))
