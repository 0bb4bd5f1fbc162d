"""What a ref says after it was healed, or brought back, is what the protocol asks of any commit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from casreg import Registry
from casreg.backends.memory import MemoryBackend
from casreg.canonical import seal
from casreg.exceptions import (
    CommitUnknownError,
    ObjectNotFoundError,
    StorageFullError,
    UnsupportedFormatError,
)
from casreg.gc import mark_bad
from casreg.head import parse_head
from casreg.keys import HEAD, MARKER
from casreg.marker import parse_marker
from casreg.refs.pace import Pace
from casreg.refs.restoring import restore
from casreg.refs.spill import INLINE_LIMIT
from casreg.repository import Repository
from casreg.testing import Fault, FaultBackend, FaultKind
from casreg.verify.heads import renew_head, renew_marker
from verify.lab import COPIES, backup, contents, harm, harm_key, little, original, overwrite, place_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from casreg.backends.base import Backend, Token
    from casreg.refs import Attempt, Entry, History
    from casreg.refs.document import Ref
    from casreg.versions import Version


def ref_of(place: MemoryBackend, name: str) -> Ref:
    """What is stored."""
    held = Repository(place).refs.read(name)
    assert held is not None
    return held.history.ref


@pytest.mark.parametrize("copy", COPIES)
@pytest.mark.parametrize(
    ("what", "name"), [("ref", "small:value"), ("manifest with its bytes", "small:value")]
)
def test_tags_name_the_manifest_that_is_there_now(copy: str, what: str, name: str) -> None:
    """A tag stands beside the manifest of its version; and the stamp is that of the head, as of any commit."""
    place = backup()
    harm(place, what, "garbage")
    Registry(place).heal(Registry(COPIES[copy]()))
    ref = ref_of(place, name)
    assert {version: entry.manifest for version, entry in live(place, name).items()} == dict(
        ref.tags.values()
    )
    assert ref.stamp == parse_head(place.get(HEAD).data).id
    assert ref.write == ref.recent[-1]


def live(place: MemoryBackend, name: str) -> dict[Version, Entry]:
    """Entries of what lives."""
    held = Repository(place).refs.read(name)
    assert held is not None
    return dict(held.history.live())


def test_no_tombstone_is_left_of_what_was_healed() -> None:
    """The version was not replaced: its history is what it was, and nothing holds on to the damaged files."""
    place = backup()
    before = Registry(place).history("other:array")
    harm(place, "manifest", "flipped")
    Registry(place).heal(Registry(COPIES["synced"]()))
    assert Registry(place).history("other:array") == before


def test_deleted_versions_come_back_as_numbers_if_their_data_is_not_here() -> None:
    """With a ref that is brought back: `undelete` could not keep its promise, and the number is not given again."""
    place, source = place_of(little()[0]), place_of(little()[0])
    Registry(source).save("small:value", {"x": 2})
    Registry(source).delete("small:value", "1.0.1")
    harm_key(place, "refs/small_value")
    assert Registry(place).heal(Registry(source)).clean
    states = {row["version"]: row["state"] for row in Registry(place).history("small:value")}
    assert states == {"1.0.0": "live", "1.0.1": "retired"}
    with pytest.raises(ObjectNotFoundError):
        Registry(place).undelete("small:value", "1.0.1")
    assert Registry(place).save("small:value", 3) == "1.0.2"


def test_deleted_versions_come_back_with_their_data() -> None:
    """If it is here: then `undelete` works as before."""
    place = place_of(little()[0])
    Registry(place).delete("big:array", "1.0.1")
    source = place_of({info.key: place.get(info.key).data for info in place.list("")})
    harm_key(place, "refs/big_array")
    assert Registry(place).heal(Registry(source)).clean
    Registry(place).undelete("big:array", "1.0.1")
    assert contents(place)["big:array@1.0.1"][1] == little()[1]["big:array@1.0.1"][1]


def test_a_large_ref_is_small_again() -> None:
    """What is too much of it goes to a segment, as after any commit."""
    place = backup()
    harm(place, "ref with a history", "garbage")
    Registry(place).heal(Registry(backup()))
    assert len(place.get("refs/long_value").data) <= INLINE_LIMIT
    assert ref_of(place, "long:value").older


def make(attempt: Attempt) -> History:
    """A ref that says nothing."""
    return attempt.history


def test_a_readable_ref_is_not_touched() -> None:
    """Somebody may have restored it meanwhile."""
    place = place_of(little()[0])
    before = place.get("refs/small_value").data
    repository = Repository(place)
    assert restore(place, repository.refs, "small:value", make) is False
    assert restore(place, repository.refs, "never:was", make) is False
    assert place.get("refs/small_value").data == before


def test_a_ref_of_a_newer_casreg_is_not_touched() -> None:
    """It is not damaged, only not understood."""
    place = place_of(little()[0])
    newer = seal({"format": 2, "name": "small:value"}, "a ref")
    overwrite(place, "refs/small_value", newer)
    with pytest.raises(UnsupportedFormatError):
        restore(place, Repository(place).refs, "small:value", make)
    assert place.get("refs/small_value").data == newer


def test_whoever_is_quicker_stays() -> None:
    """A ref that becomes readable between the reading and the swap is the other's."""

    class Quick(MemoryBackend):
        def swap(self, key: str, *args: Any, **options: Any) -> Token:
            overwrite(self, key, little()[0][key])
            return super().swap(key, *args, **options)

    place = Quick()
    for key, data in little()[0].items():
        place.create(key, data)
    overwrite(place, "refs/small_value", b"damaged")
    assert restore(place, Repository(place).refs, "small:value", make) is False
    assert place.get("refs/small_value").data == little()[0]["refs/small_value"]


@pytest.mark.parametrize("kind", [FaultKind.BEFORE, FaultKind.AFTER])
def test_a_lost_answer_of_a_restoration(kind: FaultKind) -> None:
    """It is read back: what landed is known as its own, what did not is sent anew."""
    place = place_of(little()[0])
    overwrite(place, "refs/small_value", b"damaged")
    weak = FaultBackend(place, [Fault(1, kind, frozenset({"swap"}))])
    assert restore(weak, Repository(weak).refs, "small:value", make) is True
    assert ref_of(place, "small:value").records == {}
    assert ref_of(place, "small:value").stamp == parse_head(place.get(HEAD).data).id


def test_a_restoration_that_never_lands() -> None:
    """The storage's own no is told at once."""
    place = place_of(little()[0])
    overwrite(place, "refs/small_value", b"damaged")

    def refuse(message: str) -> Exception:
        return StorageFullError(message)

    full = FaultBackend(place, [Fault(1, FaultKind.BEFORE, frozenset({"swap"}), times=99, error=refuse)])
    with pytest.raises(StorageFullError):
        restore(full, Repository(full).refs, "small:value", make)
    assert len([call for call in full.calls if call.method == "swap"]) == 1


def test_a_restoration_whose_answers_are_all_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends, and carries the id of a write that may yet arrive."""
    monkeypatch.setattr("casreg.refs.restoring.pace_for", lambda _: Pace(sleep=lambda _: None))
    place = place_of(little()[0])
    overwrite(place, "refs/small_value", b"damaged")
    away = FaultBackend(place, [Fault(1, FaultKind.BEFORE, frozenset({"swap"}), times=99)])
    with pytest.raises(CommitUnknownError) as caught:
        restore(away, Repository(away).refs, "small:value", make)
    assert len(caught.value.write) == 32


def test_what_somebody_saved_meanwhile_stays() -> None:
    """A ref that vanished, and under whose name somebody began anew, is theirs."""

    class Quick(MemoryBackend):
        armed = False

        def create(self, key: str, *args: Any, **options: Any) -> Token:
            if self.armed and key == "refs/small_value":
                self.armed = False
                Registry(self).save("small:value", "mine")
            return super().create(key, *args, **options)

    place = Quick()
    for key, data in little()[0].items():
        place.create(key, data)
    overwrite(place, "refs/small_value", None)
    place.armed = True
    healing = Registry(place).heal(Registry(place_of(little()[0])))
    assert not place.armed
    assert healing.brought_back == ()
    assert Registry(place).load("small:value") == "mine"
    assert Registry(place).list_versions("small:value") == ["1.0.0"]


def test_a_whole_head_and_marker_stay() -> None:
    """Somebody may have renewed them meanwhile: theirs count."""
    place = backup()
    before = place.get(HEAD).data, place.get(MARKER).data
    renew_head(place, backup(), [])
    renew_marker(place)
    assert (place.get(HEAD).data, place.get(MARKER).data) == before


def test_two_renew_a_head_at_once() -> None:
    """One of them is the head, and the other one's stays what nobody names."""

    class Quick(MemoryBackend):
        done = False

        def swap(self, key: str, *args: Any, **options: Any) -> Token:
            if not self.done:
                self.done = True
                renew_head(self, MemoryBackend(), [])
                renew_marker(self)
            return super().swap(key, *args, **options)

    def head(place: Backend) -> None:
        renew_head(place, MemoryBackend(), [])

    steps: list[Callable[[Backend], None]] = [head, renew_marker]
    for renew in steps:
        place = Quick()
        for key, data in original()[0].items():
            place.create(key, data)
        harm_key(place, HEAD)
        harm_key(place, MARKER)
        renew(place)
        assert parse_head(place.get(HEAD).data).state == "idle"
        assert parse_marker(place.get(MARKER).data).is_probed(place.location)


def test_what_is_marked_is_not_named_by_a_ref_that_comes_back() -> None:
    """Its files are here, but known to be damaged: the version gets other ones."""
    place = place_of(little()[0])
    packs = [info.key for info in place.list("packs/")]
    mark_bad(Repository(place), packs)
    harm_key(place, "refs/big_array")
    assert Registry(place).heal(Registry(place_of(little()[0]))).clean
    report = Registry(place).verify(data=True)
    assert report.clean
    assert contents(place) == little()[1]
    needed = {key for key in packs if any(key.endswith(name) for name in pack_names(place, "big:array"))}
    assert not needed


def pack_names(place: MemoryBackend, name: str) -> set[str]:
    """The packs that a name needs."""
    repository = Repository(place)
    held = repository.refs.read(name)
    assert held is not None
    entries = [entry for _, entry in held.history.live()]
    return {pack.name for entry in entries for pack in repository.manifest(entry.manifest).placement.packs}
