"""A canary: a secret that somebody gives with a place never shows up where it could be read by others."""

from __future__ import annotations

import io
import logging
import pickle
import traceback
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from casreg.backends.local import LocalBackend
from casreg.backends.memory import MemoryBackend
from casreg.cache import Cache
from casreg.exceptions import CasregError, InvalidArgumentError, StorageUnavailableError
from casreg.refs import pace
from casreg.registry import Registry
from casreg.store import Mount, Store
from casreg.testing import Fault, FaultBackend, FaultKind
from registry.lab import noise, snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from typing_extensions import Buffer

    from casreg.backends.base import Object, ObjectInfo, Token

SECRET = "canary-5up3rs3cr3t"

URIS = [
    f"s3://user:{SECRET}@host/bucket",
    f"s3://{SECRET}@host/bucket",
    f"s3://user:{SECRET}/more@host/bucket",
    f"s3://host/bucket?secret_key={SECRET}",
    f"gs://bucket/prefix#{SECRET}",
    f"https://host/x?X-Amz-Signature={SECRET}",
    f"file://user:{SECRET}@host/folder",
    f"file:///folder?key={SECRET}",
    f"memory://user:{SECRET}@place",
]


class SecretBackend:
    """Memory behind a password. Its `repr` tells it, as that of a careless dataclass does; its pickle does not."""

    def __init__(self, password: str, inner: FaultBackend | None = None) -> None:
        self.password = password
        self.inner = inner or FaultBackend(MemoryBackend("behind-a-password"))

    def __repr__(self) -> str:
        return f"SecretBackend(password={self.password!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return (SecretBackend, ("asked for anew",))

    @property
    def location(self) -> str:
        """See `Backend.location`."""
        return self.inner.location

    def get(self, key: str, start: int = 0, stop: int | None = None, *, held: Object | None = None) -> Object:
        """See `Backend.get`."""
        return self.inner.get(key, start, stop, held=held)

    def create(self, key: str, data: Buffer, *, durable: bool = True) -> Token:
        """See `Backend.create`."""
        return self.inner.create(key, data, durable=durable)

    def swap(self, key: str, data: Buffer, expected: Token) -> Token:
        """See `Backend.swap`."""
        return self.inner.swap(key, data, expected)

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:
        """See `Backend.list`."""
        return self.inner.list(prefix, after)

    def delete(self, keys: Iterable[str]) -> None:
        """See `Backend.delete`."""
        self.inner.delete(keys)


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Everything that is logged, by anybody, at every level, with tracebacks."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.NOTSET)
    yield written
    root.removeHandler(handler)
    root.setLevel(level)


def told(error: BaseException) -> str:
    """All that a traceback or an error's own text shows, causes included."""
    return "".join(traceback.format_exception(error)) + repr(error) + str(error) + repr(vars(error))


def only_messages(error: BaseException | None) -> str:
    """What casreg's errors say, without the lines of code that a traceback quotes (a test's own hold the secret)."""
    text = ""
    while error is not None:
        text += str(error) + repr(error) + repr(vars(error))
        error = error.__cause__ or error.__context__
    return text


def everything(registry: Registry, tmp_path: Path) -> list[CasregError]:
    """Use most of a registry, well and badly, and give the errors."""
    registry.save("a:b", {"x": 1}, metadata={"m": 1}, notes={"n": 1}, tags=["t"])
    registry.save("a:b", noise(300_000))
    registry.load("a:b")
    registry.load("a:b", "1.0.0")
    with registry.open("a:b") as opened:
        opened.read(10)
    registry.info("a:b")
    registry.list_objects()
    registry.list_versions("a:b")
    registry.diff("a:b", "1.0.0")
    registry.annotate("a:b", more=1)
    registry.tag("a:b", "prod")
    registry.export(tmp_path / "bundle.casreg")
    registry.save("gone", 1)
    registry.delete("gone")
    wrong: list[Callable[[], object]] = [
        lambda: registry.load("nothing"),
        lambda: registry.load("a:b", "9.9.9"),
        lambda: registry.save("bad name", 1),
        lambda: registry.save("a:b", 2, version="1.0.0"),
        lambda: registry.save("a:b", open),
        lambda: registry.save("a:b", 1, metadata={"x": float("nan")}),
        lambda: registry.open("a:b", "nope"),
        lambda: registry.load("a:b", into=tmp_path),
        lambda: registry.delete("nothing"),
    ]
    errors = []
    for call in wrong:
        with pytest.raises(CasregError) as caught:
            call()
        errors.append(caught.value)
    return errors


def test_the_canary_sings(log: io.StringIO) -> None:
    """These tests would see it: in the log, in an error, in a cause."""
    logging.getLogger("casreg.registry").debug("%s", SecretBackend(SECRET))
    assert SECRET in log.getvalue()
    error = CasregError("harmless")
    error.__cause__ = CasregError(SECRET)
    assert SECRET in only_messages(error)
    assert SECRET in told(error)


def test_a_backend_keeps_its_secret(log: io.StringIO, tmp_path: Path) -> None:
    """Not in logs, texts, errors, in what is stored or cached, in a bundle."""
    backend = SecretBackend(SECRET)
    registry = Registry(backend, cache=Cache(tmp_path / "cache"))
    shown = [repr(registry), f"{registry}"]
    errors = everything(registry, tmp_path)
    shown += [repr(registry), str(registry), str(registry.info("a:b")), str(registry.backend.location)]
    shown += [told(error) for error in errors]
    shown.append(log.getvalue())
    assert "saved a:b@1.0.1" in log.getvalue()
    assert not [text for text in shown if SECRET in text]
    stored = [*snapshot(backend.inner).values()]
    stored += [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(stored) > 10
    assert not [data for data in stored if SECRET.encode() in data]


def test_a_registry_pickles_without_it(tmp_path: Path) -> None:
    """What the backend leaves out is nowhere else, also after use; a store's pickle is made of its registries'."""
    registry = Registry(SecretBackend(SECRET), cache=Cache(tmp_path / "cache"))
    everything(registry, tmp_path)
    for holder in (registry, Store(mounts={"a": registry})):
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
            data = pickle.dumps(holder, protocol)
            assert SECRET.encode() not in data
            assert type(pickle.loads(data)) is type(holder)


@pytest.mark.parametrize("method", ["get", "create", "swap", "list", "delete"])
def test_a_storage_that_fails_keeps_it(
    method: str, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever request fails, in a registry and in a store."""
    monkeypatch.setattr(pace, "PACE", replace(pace.PACE, sleep=lambda _: None))
    backend = SecretBackend(SECRET)
    Registry(backend).save("a:b", noise(300_000))
    faults = [Fault(1, FaultKind.BEFORE, methods=frozenset({method}), times=10**6)]
    failing = SecretBackend(SECRET, FaultBackend(backend.inner.inner, faults))
    registry = Registry(failing)
    store = Store(mounts={"a": registry, "b": Registry(MemoryBackend())}, default_location="a")
    calls: list[Callable[[], object]] = [
        lambda: registry.save("a:c", noise(200_000, 2)),
        lambda: registry.load("a:b"),
        registry.list_objects,
        lambda: registry.delete("a:b"),
        lambda: store.load("a:b"),
        lambda: store.save("a/a:d", 1),
        store.list_objects,
        lambda: str(store),
        lambda: str(registry),
    ]
    errors = []
    for call in calls:
        try:
            call()
        except CasregError as err:
            errors.append(err)
    assert errors or method == "delete"  # nothing here deletes a key
    assert not [error for error in errors if SECRET in told(error)]
    assert SECRET not in log.getvalue()
    assert SECRET not in repr(store) + repr(registry)


@pytest.mark.parametrize("uri", URIS)
def test_uris_with_secrets_are_refused_without_repeating_them(
    uri: str, log: io.StringIO, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an argument, in the environment, in a configuration file, for a registry and for a store."""
    (tmp_path / "config.toml").write_text(f'[mounts.team]\nbackend = "{uri}"\n')

    def from_environment() -> object:
        monkeypatch.setenv("CASREG_REGISTRY_DIR", uri)
        try:
            return Registry()
        finally:
            monkeypatch.delenv("CASREG_REGISTRY_DIR")

    def from_mounts() -> object:
        monkeypatch.setenv("CASREG_MOUNTS", f"team={uri}")
        try:
            return Store()
        finally:
            monkeypatch.delenv("CASREG_MOUNTS")

    def from_file() -> object:
        monkeypatch.setenv("CASREG_CONFIG", str(tmp_path / "config.toml"))
        return Store()

    makers: list[Callable[[], object]] = [
        lambda: Registry(uri),
        lambda: LocalBackend(uri),
        lambda: Store(mounts={"a": uri}),
        from_environment,
        from_mounts,
        from_file,
    ]
    for make in makers:
        with pytest.raises(CasregError) as caught:
            make()
        assert SECRET not in only_messages(caught.value), make
    assert SECRET not in log.getvalue()


def test_wrong_objects_are_not_shown(log: io.StringIO) -> None:
    """Where a registry, a mount or a backend belongs, the error says the type of what was given, and no more."""
    settings: Any = {"secret_key": SECRET}
    backend: Any = SecretBackend(SECRET)
    for make in (
        lambda: Registry(settings),
        lambda: Store(mounts=[settings]),
        lambda: Store(mounts=backend),
        lambda: Store(mounts={"a": settings}),
        lambda: Mount("a", backend),
    ):
        with pytest.raises(InvalidArgumentError) as caught:
            make()
        assert SECRET not in only_messages(caught.value)
    assert SECRET not in log.getvalue()


def test_what_is_saved_is_not_logged(log: io.StringIO) -> None:
    """Neither values nor metadata nor notes: a log is read by others than the registry."""
    registry = Registry(MemoryBackend())
    registry.save("a", {"password": SECRET}, metadata={"key": SECRET}, notes={"note": SECRET})
    registry.annotate("a", note=SECRET)
    registry.save("a", SECRET)
    registry.load("a")
    registry.find("a", where={"key": SECRET})
    assert "saved a@1.0.1" in log.getvalue()
    assert SECRET not in log.getvalue()


def test_errors_of_a_backend_stay_its_own() -> None:
    """What a backend raises as an error of casreg is passed on as it is: no text of its `repr` is added."""
    inner = FaultBackend(
        MemoryBackend(),
        [
            Fault(
                1,
                FaultKind.BEFORE,
                times=10**6,
                error=lambda _: StorageUnavailableError("the server is away"),
            )
        ],
    )
    with pytest.raises(StorageUnavailableError) as caught:
        Registry(SecretBackend(SECRET, inner)).load("a")
    assert str(caught.value) == "the server is away"
    assert SECRET not in only_messages(caught.value)
