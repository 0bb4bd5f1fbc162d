"""Servers of the clouds, one of each for the whole run. One that does not start fails the tests; none is skipped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from casreg.testing import servers

if TYPE_CHECKING:
    from collections.abc import Iterator


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
