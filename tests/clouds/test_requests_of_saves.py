"""The number of requests that a large save takes: one for each pack, and a dozen beside them, whatever the size."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import numpy as np
import pytest

from casreg import GCPRegistryBackend, Registry
from casreg.testing.proxy import FaultProxy
from clouds.s3_lab import backend, new_prefix

if TYPE_CHECKING:
    from collections.abc import Callable

    from casreg.testing.servers import Server

pytestmark = pytest.mark.clouds

MIB = 1 << 20
BESIDE = 12
"""Requests beside those for packs: marker, ref, head, index, manifest, commit."""


def requests_of_a_first_save(make: Callable[[], Registry], proxy: FaultProxy, size: int) -> tuple[int, int]:
    """How many a new process needs to save so many bytes to a place that was written before, and how many are packs."""
    make().save("before", 1)
    data = np.random.default_rng(1).integers(0, 256, size, dtype=np.uint8)
    proxy.reset()
    make().save("large", data)
    return len(proxy.requests), sum(request.size > MIB for request in proxy.requests)


@pytest.mark.parametrize(
    ("size", "packs", "most"),
    [
        pytest.param(100 * MIB, 4, 4 + BESIDE, id="100 MiB"),
        pytest.param(1024 * MIB, 33, 45, id="1 GiB", marks=pytest.mark.soak),
    ],
)
@pytest.mark.parametrize("cloud", ["s3", "gcs"])
def test_a_large_save_is_a_request_a_pack(
    seaweedfs: Server, fake_gcs: Server, cloud: str, size: int, packs: int, most: int
) -> None:
    """Of 32 MiB each; for a gibibyte 45 at most."""
    prefix, bucket = new_prefix(), f"large-{secrets.token_hex(6)}"
    with FaultProxy((seaweedfs if cloud == "s3" else fake_gcs).endpoint) as proxy:

        def make() -> Registry:
            place = (
                backend(proxy.endpoint, prefix, timeout=60.0)
                if cloud == "s3"
                else GCPRegistryBackend(bucket_name=bucket, endpoint=proxy.url)
            )
            return Registry(place, cache=False)

        made, large = requests_of_a_first_save(make, proxy, size)
    assert large <= packs
    assert made <= most
