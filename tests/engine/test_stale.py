"""Saving beside a collector: nothing that it condemned is built on, nothing that it deleted is named by a version."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import pytest

from casreg.backends.memory import MemoryBackend
from casreg.exceptions import CommitConflictError, Conflict, NotFound, ObjectNotFoundError
from casreg.head import (
    INITIAL,
    KEPT_VERDICTS,
    Head,
    close,
    condemn,
    condemn_bad,
    decode_names,
    dump_head,
    encode_names,
    parse_head,
    verdict,
)
from casreg.keys import HEAD, MANIFESTS, PACKS, REFS, is_data_key, manifest_key, name_of_ref_key
from casreg.packs import key_of
from casreg.registry import Registry
from casreg.repository.finding import select
from casreg.verify import check_packs, survey
from casreg.versions import Latest
from registry.lab import noise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from typing_extensions import Buffer

    from casreg.backends.base import Backend, Object, Token

DATA = noise(300_000, 1)


class Collector:
    """A collector of a few lines: it condemns, and deletes, whatever it is told to."""

    def __init__(self, place: Backend) -> None:
        self.place = place

    def condemn(self, keys: Iterable[str]) -> None:
        """Begin a run over these keys."""
        self._move(lambda head: condemn(head, self._list(keys), _nonce(), _nonce()))

    def damaged(self, keys: Iterable[str]) -> None:
        """Say that these are damaged."""
        self._move(lambda head: condemn_bad(head, self._list(keys), _nonce(), _nonce()))
        self._move(lambda head: verdict(head, None, _nonce()))
        self.finish()

    def judge(self) -> list[str]:
        """The fence, and the verdict over what was condemned and no ref reaches. Gives that."""
        head = parse_head(self.place.get(HEAD).data)
        assert head.names is not None
        marks: set[str] = set()
        repository = Registry(self.place)._repository
        for info in list(self.place.list(REFS)):
            name = name_of_ref_key(info.key)
            assert name is not None
            while True:
                held = repository.refs.read(name)
                assert held is not None
                stamped = held.history.ref.rewritten(_nonce(), head.id)
                try:
                    self.place.swap(info.key, stamped.to_bytes(), held.token)
                except Conflict:
                    continue
                break
            for _, entry in held.history.live():
                marks.add(manifest_key(entry.manifest))
                marks.update(map(key_of, repository.manifest(entry.manifest).placement.packs))
        names = [key for key in decode_names(self.place.get(head.names).data, head.names) if key not in marks]
        listed = self._list(names)
        self._move(lambda head: verdict(head, listed, _nonce()))
        return names

    def finish(self, keys: Iterable[str] = ()) -> None:
        """Delete these, and end the run."""
        self.place.delete(keys)
        self._move(lambda head: close(head, _nonce()))

    def collect(self, keys: Iterable[str]) -> list[str]:
        """A whole run. Gives what it deleted."""
        self.condemn(keys)
        deleted = self.judge()
        self.finish(deleted)
        return deleted

    def _list(self, keys: Iterable[str]) -> str:
        key, data = encode_names(keys, _nonce())
        self.place.create(key, data)
        return key

    def _move(self, step: Callable[[Head], Head]) -> None:
        try:
            found = self.place.get(HEAD)
        except NotFound:
            self.place.create(HEAD, dump_head(step(INITIAL)))
        else:
            assert found.token is not None
            self.place.swap(HEAD, dump_head(step(parse_head(found.data))), found.token)


def _nonce() -> str:
    return secrets.token_hex(16)


def packs_of(place: Backend) -> set[str]:
    """Keys of all packs."""
    return {info.key for info in place.list(PACKS)}


def used_by(place: Backend, name: str) -> set[str]:
    """Keys of all that the latest version of a name reaches."""
    repository = Registry(place)._repository
    _, entry = select(repository, name, Latest())
    manifest = repository.manifest(entry.manifest)
    return {manifest_key(entry.manifest), *map(key_of, manifest.placement.packs)}


def check(place: Backend) -> None:
    """Whatever is listed is whole."""
    repository = Registry(place)._repository
    surveyed = survey(repository)
    assert not surveyed.damage
    assert not list(check_packs(surveyed))


def _verdict(collector: Collector, keys: set[str]) -> None:
    collector.condemn(keys)
    collector.judge()


def _kept(collector: Collector, keys: set[str]) -> None:
    _verdict(collector, keys)
    collector.finish()  # a collector that has not deleted them yet, or whose deletion is late


STATES: dict[str, Callable[[Collector, set[str]], None]] = {
    "condemned": Collector.condemn,
    "verdict": _verdict,
    "kept": _kept,
    "damaged": Collector.damaged,
}


@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
@pytest.mark.parametrize("state", STATES)
def test_nothing_is_built_on_what_is_condemned(state: str, warm: bool) -> None:
    """A save does not re-use packs that the head lists in any way, for the same name and for another."""
    place = MemoryBackend()
    registry = Registry(place)
    registry.save("thing", DATA)
    registry.delete("thing")  # what lives is never in a verdict
    old = packs_of(place)
    STATES[state](Collector(place), old)
    for name in ("thing", "other"):
        saver = registry if warm else Registry(place)
        saver.save(name, DATA)
        assert not used_by(place, name) & old
        assert saver.load(name) == DATA
    # The second was built on what the first had stored anew.
    assert len(packs_of(place)) == 2


class Hook:
    """A backend that does something, once, before or after the first call of a kind."""

    def __init__(
        self, inner: MemoryBackend, method: str, prefix: str, do: Callable[[str], None], *, before: bool
    ) -> None:
        self.inner = inner
        self.wanted = (method, prefix)
        self.do: Callable[[str], None] | None = do
        self.before = before

    @property
    def location(self) -> str:
        return self.inner.location

    def _call(self, method: str, key: str, call: Callable[[], Any]) -> Any:
        due = method == self.wanted[0] and key.startswith(self.wanted[1])
        if due and self.before:
            self._fire(key)
        try:
            return call()
        finally:
            if due and not self.before:
                self._fire(key)

    def _fire(self, key: str) -> None:
        do, self.do = self.do, None
        if do is not None:
            do(key)

    def get(self, key: str, start: int = 0, stop: int | None = None, *, held: Object | None = None) -> Object:
        return self._call("get", key, lambda: self.inner.get(key, start, stop, held=held))  # type: ignore[no-any-return]

    def create(self, key: str, data: Buffer, *, durable: bool = True) -> Token:
        return self._call("create", key, lambda: self.inner.create(key, data, durable=durable))  # type: ignore[no-any-return]

    def swap(self, key: str, data: Buffer, expected: Token) -> Token:
        return self._call("swap", key, lambda: self.inner.swap(key, data, expected))  # type: ignore[no-any-return]

    def list(self, prefix: str, after: str = "") -> Any:
        return self._call("list", prefix, lambda: self.inner.list(prefix, after))

    def delete(self, keys: Iterable[str]) -> None:
        self.inner.delete(keys)


BEFORE_THE_COMMIT = [("get", HEAD, False), ("get", PACKS, False)]
MOMENTS = [
    *BEFORE_THE_COMMIT,
    ("create", MANIFESTS, True),
    ("create", MANIFESTS, False),
    ("get", "refs/", False),
]
NAMED_MOMENTS = [
    *((*moment, name) for moment in MOMENTS for name in ("thing", "other")),
    ("create", "refs/", False, "other"),  # the ref of `thing` is there already
]


@pytest.mark.parametrize("name", ["thing", "other"])
@pytest.mark.parametrize(("method", "prefix", "before"), BEFORE_THE_COMMIT)
def test_packs_that_are_condemned_before_the_commit(
    method: str, prefix: str, before: bool, name: str
) -> None:
    """Packs that are condemned between the search and the commit are stored again under fresh names."""
    place = MemoryBackend()
    Registry(place).save("thing", DATA)
    old = packs_of(place)
    hook = Hook(place, method, prefix, lambda _: Collector(place).condemn(old), before=before)
    Registry(hook).save(name, DATA)
    assert hook.do is None
    assert not used_by(place, name) & old
    assert Registry(place).load(name) == DATA


@pytest.mark.parametrize(("method", "prefix", "before", "name"), NAMED_MOMENTS)
def test_packs_that_are_collected_while_a_save_runs(
    method: str, prefix: str, before: bool, name: str
) -> None:
    """A whole run of the collector at any moment of a save that re-uses old packs: what is committed is whole."""
    place = MemoryBackend()
    Registry(place).save("thing", DATA)
    Registry(place).delete("thing")
    old = packs_of(place)
    deleted: list[str] = []
    hook = Hook(place, method, prefix, lambda _: deleted.extend(Collector(place).collect(old)), before=before)
    saver = Registry(hook)
    saver.save(name, DATA)
    assert hook.do is None
    assert not used_by(place, name) & set(deleted)
    assert Registry(place).load(name) == DATA
    check(place)


@pytest.mark.parametrize("name", ["thing", "other"])
@pytest.mark.parametrize(("method", "prefix", "before"), BEFORE_THE_COMMIT)
def test_packs_that_were_collected_long_ago(method: str, prefix: str, before: bool, name: str) -> None:
    """If so many runs went by since a pack was seen that its verdict is forgotten, the pack is looked for again."""
    place = MemoryBackend()
    Registry(place).save("thing", DATA)
    Registry(place).delete("thing")
    old = packs_of(place)

    def go(_: str) -> None:
        assert set(Collector(place).collect(old)) == old
        for _run in range(KEPT_VERDICTS):
            Collector(place).collect([])

    hook = Hook(place, method, prefix, go, before=before)
    Registry(hook).save(name, DATA)
    assert hook.do is None
    assert not used_by(place, name) & old
    assert Registry(place).load(name) == DATA
    check(place)


@pytest.mark.parametrize("kind", [PACKS, MANIFESTS])
def test_what_a_save_has_just_written_is_collected(kind: str) -> None:
    """A pack or manifest that is collected right after it was written is written again."""
    place = MemoryBackend()
    deleted: list[str] = []
    hook = Hook(
        place, "create", kind, lambda key: deleted.extend(Collector(place).collect([key])), before=False
    )
    collect, hook.do = hook.do, None
    registry = Registry(hook)
    registry.save("else", 1)  # so that a head was read before
    hook.do = collect
    registry.save("thing", DATA)
    assert len(deleted) == 1
    assert not used_by(place, "thing") & set(deleted)
    assert Registry(place).load("thing") == DATA
    check(place)


def test_a_conflict_checks_everything_again() -> None:
    """If another wins the ref, and meanwhile all that was written was collected, all is written again."""
    place = MemoryBackend()
    Registry(place).save("thing", 1)
    collector = Collector(place)
    gone: set[str] = set()

    def go(_: str) -> None:
        Registry(place).save("thing", "from another")
        reached = used_by(place, "thing")
        kept = {manifest_key(entry.manifest) for _, entry in _living(place)}
        gone.update(
            info.key for info in place.list("") if is_data_key(info.key) and info.key not in reached | kept
        )
        collector.collect(gone)

    hook = Hook(place, "swap", "refs/", go, before=True)
    assert Registry(hook).save("thing", DATA) == "1.0.2"
    assert hook.do is None
    assert len(gone) == 2  # the pack and the manifest of the save that lost
    assert not used_by(place, "thing") & gone
    assert Registry(place).load("thing") == DATA
    assert Registry(place).load("thing@1.0.1") == "from another"
    check(place)


def _living(place: Backend) -> list[Any]:
    return Registry(place)._repository.refs.ask("thing", lambda history: history.live() if history else [])


def test_a_collector_that_never_rests() -> None:
    """If everything is condemned each time, the save gives up with a clear error, and nothing was committed."""
    place = MemoryBackend()
    Registry(place).save("else", 1)
    collector = Collector(place)

    class Tireless(Hook):
        def _fire(self, key: str) -> None:
            collector.condemn([key])
            collector.judge()
            collector.finish()

    registry = Registry(Tireless(place, "create", PACKS, lambda key: None, before=False))
    with pytest.raises(CommitConflictError, match="collected 5 times"):
        registry.save("thing", DATA)
    assert Registry(place).list_objects() == ["else"]


@pytest.mark.parametrize("state", [*STATES, "gone"])
def test_undelete_of_what_was_collected(state: str) -> None:
    """A version whose pack or manifest is condemned or gone is not brought back: the error says so."""
    for kind in (PACKS, MANIFESTS):
        place = MemoryBackend()
        registry = Registry(place)
        registry.save("thing", DATA)
        registry.delete("thing")
        keys = {info.key for info in place.list(kind)}
        if state == "gone":
            assert set(Collector(place).collect(keys)) == keys
        else:
            STATES[state](Collector(place), keys)
        for saver in (registry, Registry(place)):
            with pytest.raises(ObjectNotFoundError, match="has been collected"):
                saver.undelete("thing@1.0.0")
        assert registry.list_objects() == []


def test_an_idle_head_changes_nothing() -> None:
    """After a run that is over and forgotten, what was seen since counts, and is not asked for again."""
    place = MemoryBackend()
    Registry(place).save("thing", DATA)
    collector = Collector(place)
    for _ in range(12):
        collector.collect([])
    registry = Registry(place)
    registry.save("other", DATA)
    assert len(packs_of(place)) == 1
    assert registry.load("other") == DATA


def test_a_conflict_of_the_backend_is_not_the_users() -> None:
    """However often a ref conflicts for no reason, the save goes on trying; the user sees no `Conflict`."""
    place = MemoryBackend()
    registry = Registry(place)
    registry.save("thing", 1)
    left = [5]

    class Moody(Hook):
        def swap(self, key: str, data: Buffer, expected: Token) -> Token:
            if left[0] and key.startswith("refs/"):
                left[0] -= 1
                raise Conflict("not today")
            return super().swap(key, data, expected)

    assert Registry(Moody(place, "", "", lambda key: None, before=True)).save("thing", 2) == "1.0.1"
