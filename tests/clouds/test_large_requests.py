"""Few and large requests, counted on the wire: the same on both clouds."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import pytest

from casreg import GCPRegistryBackend, Registry
from casreg.testing.proxy import FaultProxy
from clouds.s3_lab import backend as s3_backend
from registry.lab import noise

if TYPE_CHECKING:
    from collections.abc import Iterator

    from casreg.backends.base import Backend
    from casreg.testing.servers import Server

pytestmark = pytest.mark.clouds

MIB = 1 << 20


@pytest.fixture(params=["seaweedfs", "fake_gcs"])
def place(request: pytest.FixtureRequest) -> Iterator[tuple[FaultProxy, Backend]]:
    """A repository in a bucket with a version of something small, and what counts the requests to it."""
    server: Server = request.getfixturevalue(request.param)
    with FaultProxy(server.endpoint) as proxy:
        backend: Backend
        if request.param == "seaweedfs":
            backend = s3_backend(proxy.endpoint)
        else:
            backend = GCPRegistryBackend(f"gs://large-{secrets.token_hex(6)}?endpoint={proxy.url}")
        Registry(backend, cache=False).save("small", 1)
        yield proxy, backend


def test_what_is_large_takes_few_requests(place: tuple[FaultProxy, Backend]) -> None:
    """96 MiB that do not compress are three packs and a short one: a request for each, and eleven; five to read each, and three."""
    proxy, backend = place
    data = noise(96 * MIB)
    proxy.reset()
    Registry(backend, cache=False).save("large", data)
    assert len(proxy.requests) <= 4 + 11
    assert sum(request.size > MIB for request in proxy.requests) == 3
    proxy.reset()
    assert Registry(backend, cache=False).load("large") == data
    assert len(proxy.requests) <= 5 * 4 + 3
