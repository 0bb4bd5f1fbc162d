"""One request of a save or load goes wrong, each in turn, in every way: nothing is lost, nothing is doubled."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from casreg.testing import proxy as proxies, servers
from casreg.testing.proxy import FaultProxy
from casreg.threads import ahead
from clouds.s3_lab import new_prefix, registry

if TYPE_CHECKING:
    from collections.abc import Callable

    from casreg.testing.proxy import Fault

pytestmark = pytest.mark.clouds

FAULTS = {
    "dropped": proxies.DROP,
    "cut": proxies.CUT,
    "lost": proxies.LOSE,
    "truncated": proxies.TRUNCATE,
    "503 before": proxies.refusal(503),
    "503 after": proxies.refusal(503, after=True),
    "500 after": proxies.refusal(500, after=True),
    "429": proxies.refusal(429),
    "409 before": proxies.refusal(409),
    "409 after": proxies.refusal(409, after=True),
}

every_fault = pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())


def each_request(
    proxy: FaultProxy,
    fault: Fault,
    prepare: Callable[[], None],
    act: Callable[[], object],
    check: Callable[[], None],
) -> int:
    """Run `act` with the fault at request 1, then 2, … until one run has no request left to fail; how many had."""
    for at in range(1, 60):
        prepare()
        proxy.reset(lambda request, at=at: fault if request.number == at else None)  # type: ignore[misc]
        try:
            act()
            hit = proxy.faults
            proxy.reset()
            check()
        except BaseException as err:
            err.add_note(f"with the fault at request {at}: {proxy.requests[at - 1 : at]}")
            raise
        if not hit:
            return at - 1
    raise AssertionError("there were always more requests")


@every_fault
def test_a_fault_at_any_request_of_the_first_save(
    s3_proxy: FaultProxy, seaweedfs: servers.Server, fault: Fault
) -> None:
    """Probe, marker, ref, manifest, commit: the save succeeds all the same, once."""
    prefix = ""

    def prepare() -> None:
        nonlocal prefix
        prefix = new_prefix()

    def save() -> None:
        assert registry(s3_proxy.endpoint, prefix).save("a", {"x": 1}) == "1.0.0"

    def check() -> None:
        there = registry(seaweedfs.endpoint, prefix)
        assert there.list_versions("a") == ["1.0.0"]
        assert there.load("a") == {"x": 1}

    assert each_request(s3_proxy, fault, prepare, save, check) >= 18


@every_fault
def test_a_fault_at_any_request_of_a_later_save(
    s3_proxy: FaultProxy, seaweedfs: servers.Server, fault: Fault
) -> None:
    """With a pack of its own: every version is there once, and loads."""
    prefix = new_prefix()
    content = random.Random(1).randbytes
    registry(seaweedfs.endpoint, prefix).save("a", content(300_000))
    saved: list[bytes] = []

    def save() -> None:
        saved.append(content(300_000))
        assert registry(s3_proxy.endpoint, prefix).save("a", saved[-1]) == f"1.0.{len(saved)}"

    def check() -> None:
        there = registry(seaweedfs.endpoint, prefix)
        assert len(there.list_versions("a")) == 1 + len(saved)
        assert there.load("a") == saved[-1]

    assert each_request(s3_proxy, fault, lambda: None, save, check) >= 6
    there = registry(seaweedfs.endpoint, prefix)
    assert [there.load("a", f"1.0.{number + 1}") for number in range(len(saved))] == saved


@pytest.mark.parametrize("fault", [proxies.STALL, proxies.HANG], ids=["stalled", "hung"])
def test_a_silence_at_any_request_of_a_later_save(seaweedfs: servers.Server, fault: Fault) -> None:
    """As above. Each at a place of its own and several at once, since each takes as long as a server may be silent."""
    old, new = random.Random(1).randbytes(300_000), random.Random(2).randbytes(300_000)

    def is_met(at: int) -> bool:
        prefix = new_prefix()
        with FaultProxy(seaweedfs.endpoint) as proxy:
            registry(proxy.endpoint, prefix).save("a", old)
            proxy.reset(lambda request: fault if request.number == at else None)
            assert registry(proxy.endpoint, prefix, timeout=1.5).save("a", new) == "1.0.1"
            met = proxy.faults
        there = registry(seaweedfs.endpoint, prefix)
        assert there.list_versions("a") == ["1.0.0", "1.0.1"]
        assert (there.load("a", "1.0.0"), there.load("a")) == (old, new)
        return met > 0

    met = list(ahead(is_met, range(1, 31), 10))
    assert 6 <= sum(met) < len(met)
    assert all(met[: sum(met)])


@every_fault
def test_a_fault_at_any_request_of_a_load(
    s3_proxy: FaultProxy, seaweedfs: servers.Server, fault: Fault
) -> None:
    """The object arrives whole."""
    prefix = new_prefix()
    data = random.Random(2).randbytes(3_000_000)
    registry(seaweedfs.endpoint, prefix).save("a", data)

    def load() -> None:
        assert registry(s3_proxy.endpoint, prefix).load("a") == data

    assert each_request(s3_proxy, fault, lambda: None, load, lambda: None) >= 3


@every_fault
def test_a_fault_at_any_request_of_a_deletion(
    s3_proxy: FaultProxy, seaweedfs: servers.Server, fault: Fault
) -> None:
    """The version is gone, and no other."""
    prefix = ""

    def prepare() -> None:
        nonlocal prefix
        prefix = new_prefix()
        there = registry(seaweedfs.endpoint, prefix)
        there.save("a", 1)
        there.save("a", 2)

    def check() -> None:
        assert registry(seaweedfs.endpoint, prefix).list_versions("a") == ["1.0.1"]

    each_request(
        s3_proxy, fault, prepare, lambda: registry(s3_proxy.endpoint, prefix).delete("a", "1.0.0"), check
    )
