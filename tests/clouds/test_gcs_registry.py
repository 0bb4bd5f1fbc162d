"""The Registry on Google Cloud Storage: what it saves it loads, in few requests, whatever happens to an answer."""

from __future__ import annotations

import random
import secrets
from itertools import count
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
import pytest

from casreg import GCPRegistryBackend, Registry, UnsafeStorageError
from casreg.testing.proxy import CUT, DROP, HANG, LOSE, STALL, TRUNCATE, Fault, FaultProxy, Harm
from casreg.threads import ahead

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from casreg.testing.proxy import Request
    from casreg.testing.servers import Server

pytestmark = pytest.mark.clouds

HARMS = {
    "lost": LOSE,
    "dropped": DROP,
    "cut": CUT,
    "truncated": TRUNCATE,
    "503-before": Fault(Harm.REFUSE, 503),
    "503-after": Fault(Harm.FAIL, 503),
    "429-before": Fault(Harm.REFUSE, 429),
    "409-before": Fault(Harm.REFUSE, 409),
    "409-after": Fault(Harm.FAIL, 409),
}


@pytest.fixture
def proxy(fake_gcs: Server) -> Iterator[FaultProxy]:
    """The server, behind a proxy that harms nothing yet."""
    with FaultProxy(fake_gcs.endpoint) as proxy:
        yield proxy


@pytest.fixture
def place(proxy: FaultProxy) -> str:
    """A repository with one object, as a URI that leads through the proxy."""
    uri = f"gs://registry-{secrets.token_hex(6)}/prefix?endpoint={proxy.url}"
    Registry(uri, cache=False).save("there", {"x": 0})
    proxy.reset()
    return uri


def test_what_is_saved_is_loaded(fake_gcs: Server, tmp_path: Path, fresh_python: Callable[..., str]) -> None:
    """A dict, an array, a folder; by URI and by the class, with a prefix, in another process."""
    bucket = f"registry-{secrets.token_hex(6)}"
    registry = Registry(GCPRegistryBackend(bucket_name=bucket, prefix="team", endpoint=fake_gcs.url))
    array = np.random.default_rng(1).random(500_000)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_bytes(b"content")
    registry.save("a:dict", {"x": [1, 2]})
    registry.save("an:array", array)
    registry.save("an:array", array * 2)
    registry.save("a:folder", tmp_path / "folder")
    again = Registry(f"gs://{bucket}/team?endpoint={fake_gcs.url}")
    assert again.list_objects() == ["a:dict", "a:folder", "an:array"]
    assert again.list_versions("an:array") == ["1.0.0", "1.0.1"]
    np.testing.assert_array_equal(again.load("an:array", "1.0.0"), array)
    assert (again.load("a:folder") / "file").read_bytes() == b"content"
    code = "import sys; from casreg import Registry; print(Registry(sys.argv[1]).load('a:dict'))"
    assert fresh_python(code, registry.backend.location).strip() == "{'x': [1, 2]}"
    again.delete("an:array", "1.0.0")
    assert registry.list_versions("an:array") == ["1.0.1"]


def requests_of(proxy: FaultProxy, do: Callable[[], object]) -> list[str]:
    """What it asks of the server, in order."""
    proxy.reset()
    do()
    return [said(request) for request in proxy.requests]


def said(request: Request) -> str:
    """A request in short: `GET refs`, `create`, `swap`; an upload has its name in its body."""
    parts = urlsplit(request.target)
    if request.method == "POST":
        generation = parse_qs(parts.query)["ifGenerationMatch"][0]
        return "create" if generation == "0" else "swap"
    name = unquote(parts.path.rpartition("/o/")[2]).removeprefix("prefix/")
    return f"{request.method} {name.partition('/')[0]}"


def test_the_requests_of_small_things(proxy: FaultProxy, place: str, tmp_path: Path) -> None:
    """A save to an existing name takes four requests, to a new one five; a cold load two, a repeated one one."""
    registry = Registry(place)
    registry.save("warm", 1)
    assert requests_of(proxy, lambda: registry.save("there", {"x": 1})) == [
        "GET refs",
        "GET gc",
        "create",
        "swap",
    ]
    assert requests_of(proxy, lambda: registry.save("new", {"x": 1})) == [
        "GET refs",
        "create",
        "GET gc",
        "create",
        "swap",
    ]
    cold = Registry(place, cache=False)
    assert requests_of(proxy, lambda: cold.load("new")) == ["GET refs", "GET manifests"]
    assert requests_of(proxy, lambda: cold.load("new")) == ["GET refs"]
    # A new process has to see once that it may write there.
    assert len(requests_of(proxy, lambda: Registry(place).save("there", {"x": 2}))) <= 5
    assert len(requests_of(proxy, lambda: Registry(place).save("newer", {"x": 2}))) <= 6


def test_a_large_save_is_one_upload_a_pack(proxy: FaultProxy, place: str) -> None:
    """However large packs are: three for 70 MiB, and beside them the manifest, the ref twice, and the index."""
    data = random.Random(1).randbytes(70 << 20)
    registry = Registry(place, cache=False)
    proxy.reset()
    registry.save("large", data)
    sizes = sorted((request.size for request in proxy.requests if request.method == "POST"), reverse=True)
    assert sum(size > 1 << 20 for size in sizes) == 3
    assert len(sizes) <= 3 + 5
    assert len(data) < sum(sizes) < 1.02 * len(data)
    assert registry.load("large") == data


def at_request(number: int, fault: Fault) -> Callable[[Request], Fault | None]:
    """A plan that harms one request."""
    return lambda request: fault if request.number == number else None


@pytest.mark.parametrize("name", ["there", "new"])
@pytest.mark.parametrize("harm", HARMS)
def test_a_save_survives_one_failure_at_any_request(
    proxy: FaultProxy, place: str, name: str, harm: str
) -> None:
    """At the first request, the second, …: one version, once, that loads."""
    backend = GCPRegistryBackend(place)
    names = (f"{name}-{number}" if name == "new" else name for number in count())
    clean = requests_of(proxy, lambda: Registry(backend, cache=False).save(next(names), "value"))
    for at, target in zip(range(1, len(clean) + 1), names, strict=False):
        before = Registry(backend, cache=False).list_versions(target) if name == "there" else []
        value = secrets.token_hex(8)
        proxy.reset(at_request(at, HARMS[harm]))
        version = Registry(backend, cache=False).save(target, value)
        assert proxy.faults == 1
        proxy.reset()
        after = Registry(backend, cache=False)
        assert after.list_versions(target) == [*before, version]
        assert after.load(target) == value


@pytest.mark.parametrize("name", ["there", "new"])
@pytest.mark.parametrize("harm", [STALL, HANG], ids=["stalled", "hung"])
def test_a_save_survives_one_silence_at_any_request(fake_gcs: Server, name: str, harm: Fault) -> None:
    """As above. Each at a place of its own and all at once, since each takes as long as a server may be silent."""

    def is_met(at: int) -> bool:
        path = f"gs://silent-{secrets.token_hex(6)}?endpoint="
        with FaultProxy(fake_gcs.endpoint) as proxy:
            Registry(path + proxy.url, cache=False).save("there", "old")
            proxy.reset(at_request(at, harm))
            saver = Registry(GCPRegistryBackend(path + proxy.url, timeout=2), cache=False)
            version = saver.save(name, "new")
            met = proxy.faults
        after = Registry(path + fake_gcs.url, cache=False)
        assert [*after.list_versions("there"), *after.list_versions("new")] == ["1.0.0", version]
        assert (after.load("there", "1.0.0"), after.load(name)) == ("old", "new")
        return met > 0

    met = list(ahead(is_met, range(1, 11), 10))
    assert 4 <= sum(met) < len(met)
    assert all(met[: sum(met)])


@pytest.mark.parametrize(
    "harm",
    ["lost", *(pytest.param(harm, marks=pytest.mark.soak) for harm in ("cut", "503-after", "409-after"))],
)
def test_a_first_save_survives_one_failure_at_any_request(proxy: FaultProxy, harm: str) -> None:
    """The bucket, the probe and the marker included: one version, once, that loads."""
    for at in range(1, 100):
        uri = f"gs://first-{secrets.token_hex(6)}?endpoint={proxy.url}"
        proxy.reset(at_request(at, HARMS[harm]))
        assert Registry(uri, cache=False).save("a", at) == "1.0.0"
        harmed = proxy.faults
        proxy.reset()
        after = Registry(uri, cache=False)
        assert (after.list_versions("a"), after.load("a")) == (["1.0.0"], at)
        if not harmed:
            break
    assert 18 <= at < 99


def test_a_load_survives_one_failure_at_any_request(proxy: FaultProxy, place: str) -> None:
    """Reads are asked again; what comes is whole."""
    array = np.random.default_rng(1).random(200_000)
    Registry(place).save("array", array)
    backend = GCPRegistryBackend(place, timeout=2)
    clean = requests_of(proxy, lambda: Registry(backend, cache=False).load("array"))
    for harm in ("dropped", "truncated", "503-before", "429-before"):
        for at in range(1, len(clean) + 1):
            proxy.reset(at_request(at, HARMS[harm]))
            np.testing.assert_array_equal(Registry(backend, cache=False).load("array"), array)
            assert proxy.faults == 1


def test_a_server_that_ignores_conditions_is_refused(gcp_emulator: Server) -> None:
    """Before anything but the probe is written: two writers could both be told that they won."""
    uri = f"gs://unsafe-{secrets.token_hex(6)}?endpoint={gcp_emulator.url}"
    registry = Registry(uri)
    with pytest.raises(UnsafeStorageError, match="conditional"):
        registry.save("a", 1)
    assert [info.key for info in registry.backend.list("") if not info.key.startswith("probe/")] == []


def test_a_repository_never_written_is_empty(fake_gcs: Server) -> None:
    """Reading makes neither a bucket nor an object."""
    registry: Any = Registry(f"gs://never-{secrets.token_hex(6)}?endpoint={fake_gcs.url}")
    assert registry.list_objects() == []
    assert not registry.has_object("a")
    with pytest.raises(KeyError):
        registry.load("a")
    assert not list((fake_gcs.folder / "data").glob("never-*"))
