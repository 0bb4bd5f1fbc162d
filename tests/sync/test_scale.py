"""Many names, from here through both clouds and back: what comes over, in how many requests, and what a second time costs."""

from __future__ import annotations

import re
import time
from collections import Counter
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import unquote

import pytest

from casreg import GCPRegistryBackend, MinioRegistryBackend, Registry
from casreg.sync.execution import FRESH
from casreg.testing.proxy import FaultProxy
from casreg.testing.recording import RecordingBackend
from sync.lab import noise, seen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from casreg.testing.proxy import Request
    from places import Places

pytestmark = pytest.mark.clouds

PAGE: Final = 1000
"""Names that one request of a listing tells."""

TOGETHER: Final = 16
"""Names that share one reading of the head."""

_KINDS: Final = re.compile(r"/(refs|manifests|packs|index|gc|probe|casreg\.json)([/?&]|$)")


class Step(NamedTuple):
    """What one sync did on the network.

    Attributes:
        source: Requests at the source, by method and kind of key; none of a folder.
        target: Those at the target.
        moved: Bytes of the files that were read from a cloud and written to one; without listings.
        seconds: How long it took.
    """

    source: dict[str, int]
    target: dict[str, int]
    moved: int
    seconds: float

    @property
    def requests(self) -> int:
        """All of them."""
        return sum(self.source.values()) + sum(self.target.values())


class Chain:
    """A folder, a place at each cloud behind a proxy that counts what really goes over the network, and a new folder."""

    def __init__(self, folder: Path, proxies: Iterable[FaultProxy]) -> None:
        s3, gcs = proxies
        own = time.time_ns()
        self._proxies = (None, s3, gcs, None)
        self.registries = [
            Registry(RecordingBackend(backend), cache=False)
            for backend in (
                Registry(folder / "first").backend,
                MinioRegistryBackend(f"s3://places/{own}?endpoint={s3.url}"),
                GCPRegistryBackend(f"gs://scale-{own}/all?endpoint={gcs.url}"),
                Registry(folder / "last").backend,
            )
        ]
        for registry in self.registries:
            registry.init()  # the probe of a new place is no part of what is counted

    def sync(self) -> list[Step]:
        """Bring each up to date with the one before it, as a new process would."""
        return [self._step(number) for number in range(3)]

    def _step(self, number: int) -> Step:
        for proxy in self._proxies:
            if proxy is not None:
                proxy.reset()
        ends = self.registries[number : number + 2]
        logs = [end.backend.log for end in ends]  # type: ignore[attr-defined]  # they are RecordingBackends
        for log in logs:
            log.clear()
        began = time.monotonic()
        source, target = (Registry(end.backend, cache=False) for end in ends)
        assert target.sync(source).clean
        seconds = time.monotonic() - began
        here, there = (self._counted(number + at) for at in range(2))
        far = [log for at, log in enumerate(logs, number) if self._proxies[at]]
        moved = sum(call.bytes_in + call.bytes_out for log in far for call in log.calls())
        return Step(here, there, moved, seconds)

    def _counted(self, number: int) -> dict[str, int]:
        proxy = self._proxies[number]
        return dict(sorted(Counter(map(kind, proxy.requests)).items())) if proxy else {}


def kind(request: Request) -> str:
    """The method of a request, and the kind of its key where the target names it: Google's uploads name it elsewhere."""
    target = unquote(request.target)
    found = _KINDS.search(target)
    is_list = "prefix=" in target
    return f"{'LIST' if is_list else request.method} {found[1] if found else ''}".strip()


@pytest.fixture
def chain(tmp_path: Path, places_of: Callable[[str], Places]) -> Iterator[Chain]:
    """Empty registries at each place."""
    with ExitStack() as stack:
        servers = [places_of(kind).url.removeprefix("http://") for kind in ("s3", "gcs")]
        yield Chain(tmp_path, [stack.enter_context(FaultProxy(server)) for server in servers])


def fill(registry: Registry, names: int) -> int:
    """So many names, of which each tenth has three versions. How many versions there are."""
    made = 0
    for number in range(names):
        for version in range(3 if number % 10 == 0 else 1):
            metadata = {"number": number, "nested": {"a": [1, 2.5, None]}}
            content = noise(1000 * number + version, 300)
            registry.save(
                f"team:{number % 7}:{number}", content, metadata=metadata, notes={"n": 1}, tags=["prod"]
            )
            made += 1
    return made


def shown_equal(chain: Chain) -> None:
    """All versions with their identities, tags, notes and metadata; and what the last has is whole."""
    # What is not in the clouds as it was here cannot be at the end of the chain.
    assert seen(chain.registries[0]) == seen(chain.registries[-1])
    assert chain.registries[-1].verify(data=True).clean


def check(chain: Chain, names: int, versions: int) -> list[Step]:
    """Sync all, again, and again after a change of ten names; count. Returns the first three steps."""
    pages, heads = -(-names // PAGE), -(-names // TOGETHER)
    first = chain.sync()
    shown_equal(chain)

    read = {"GET manifests": versions, "GET casreg.json": 1, "LIST refs": pages}
    assert first[0].target == {
        "GET gc": heads,
        "GET casreg.json": 1,
        "LIST refs": 1,
        "PUT manifests": versions,
        "PUT refs": 2 * names,  # created empty, so that a collector sees it, and swapped once
    }
    for step in first[1:]:
        refs = step.source["GET refs"]
        assert step.source == {**read, "GET refs": refs}
        # Those that are brought more than a minute after they were compared are asked once more.
        assert refs == names if step.seconds < FRESH else names <= refs <= 2 * names
    assert first[1].target == {
        "GET gc": heads,
        "GET casreg.json": 1,
        "LIST refs": 1,
        "POST": versions + 2 * names,
    }

    again = chain.sync()
    for step in again:
        assert (*step.source.values(), *step.target.values()) in ((pages,), (pages, pages))
        assert step.source.keys() | step.target.keys() == {"LIST refs"}
        assert step.moved * 100 < first[0].moved

    for number in range(10):
        chain.registries[0].save(f"team:{number % 7}:{number}", noise(number, 200), tags=["prod"])
    changed = chain.sync()
    shown_equal(chain)
    assert changed[0].target == {
        "LIST refs": pages,
        "GET refs": 10,
        "GET gc": changed[0].target["GET gc"],
        "GET casreg.json": 1,
        "PUT manifests": 10,
        "PUT refs": 10,
    }
    whose = {"LIST refs": pages, "GET casreg.json": 1}
    assert changed[1].source == {**whose, "GET refs": 10, "GET manifests": 10}
    for step in changed:
        assert step.requests <= 2 * pages + 70
    return first


def test_some_hundred_names_through_both_clouds(chain: Chain) -> None:
    """Five requests a name and no more; a second time one for each 1,000 names, and six for each name that changed."""
    check(chain, 256, fill(chain.registries[0], 256))


@pytest.mark.soak
def test_ten_thousand_names_through_both_clouds(
    chain: Chain, record_property: Callable[[str, object], None]
) -> None:
    """The same for 10,000, with pages of listings."""
    steps = check(chain, 10_000, fill(chain.registries[0], 10_000))

    for number, step in enumerate(steps):
        record_property(
            f"step {number}", f"{step.seconds:.0f} s, {step.requests} requests, {step.moved} bytes"
        )
        print(f"step {number}: {step.seconds:.0f} s, {step.requests} requests, {step.moved} bytes")
