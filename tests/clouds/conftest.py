"""Servers of the clouds beside those that `tests/conftest.py` has, one of each for the whole run; none is skipped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from casreg.testing import servers
from casreg.testing.proxy import FaultProxy

if TYPE_CHECKING:
    from collections.abc import Iterator

# Suites that test files take their tests from: else a failure of one says nothing but AssertionError.
pytest.register_assert_rewrite("clouds.races", "clouds.outages")


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
