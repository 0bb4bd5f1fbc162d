"""What a save builds on is there when it commits, however long it slept and however often a collector came by."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

import pytest

from casreg import Registry, head
from casreg.backends.memory import MemoryBackend
from casreg.exceptions import NotFound, VersionConflictError
from casreg.keys import HEAD, name_of_ref_key
from casreg.refs.document import Ref
from casreg.repository import proving

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Buffer

    from casreg.backends.base import Backend, Token


def fresh() -> str:
    """An id that was never used."""
    return os.urandom(16).hex()


def collect(backend: Backend, names: Sequence[str]) -> None:
    """One whole run of a collector that found `names` to be reached by nothing."""
    try:
        got = backend.get(HEAD)
        state, token = head.parse_head(got.data), got.token
    except NotFound:
        state, token = head.INITIAL, None
    key, data = head.encode_names(names, fresh())
    backend.create(key, data)
    state = head.condemn(state, key, fresh(), fresh())
    if token is None:
        token = backend.create(HEAD, head.dump_head(state))
    else:
        token = backend.swap(HEAD, head.dump_head(state), token)
    for info in list(backend.list("refs/")):
        held = backend.get(info.key)
        ref = Ref.from_bytes(held.data, name_of_ref_key(info.key) or "")
        assert held.token is not None
        backend.swap(info.key, ref.rewritten(fresh(), state.id).to_bytes(), held.token)
    state = head.verdict(state, key, fresh())
    token = backend.swap(HEAD, head.dump_head(state), token)
    backend.delete(names)
    backend.swap(HEAD, head.dump_head(head.close(state, fresh())), token)


def collect_often(backend: Backend, names: Sequence[str]) -> None:
    """So many runs that the head does not remember the first."""
    collect(backend, names)
    for _ in range(head.KEPT_VERDICTS + 1):
        collect(backend, [f"manifests/00/{'00' * 32}"])


class Sleeper(MemoryBackend):
    """While a manifest is on its way the machine sleeps for days; what had arrived before it is collected."""

    asleep = False

    def create(self, key: str, data: Buffer, *, durable: bool = True) -> Token:
        """The manifest arrives when its save has looked at the head, and long after its segment."""
        if self.asleep and key.startswith("manifests/"):
            self.asleep = False
            collect_often(self, [info.key for info in self.list("segments/")])
        return super().create(key, data, durable=durable)


@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
def test_a_segment_that_was_collected_while_its_manifest_was_sent(
    warm: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A placement that arrived before the head was read, and is gone, is not taken for seen after it."""
    monkeypatch.setattr(proving, "PLACEMENT_LIMIT", 10)
    backend, source = Sleeper(), random.Random(1)
    registry = Registry(backend)
    if warm:
        registry.save("thing", source.randbytes(50_000))
    backend.asleep = True
    data = source.randbytes(50_000)
    version = registry.save("thing", data)
    assert not backend.asleep, "the machine never slept: the test shows nothing"
    assert Registry(backend).load("thing", version) == data


def test_many_packs_that_were_collected_long_ago() -> None:
    """A process that remembers more packs than a save makes rounds stores them all again when they are gone."""
    backend, source = MemoryBackend(), random.Random(1)
    registry = Registry(backend)
    parts = {f"part-{number}": source.randbytes(50_000) for number in range(8)}
    for name, part in parts.items():
        registry.save(name, part)
        registry.delete(name)
    collect_often(backend, [info.key for info in backend.list("packs/")])
    registry.save("all", parts)
    assert Registry(backend).load("all") == parts


def test_a_deleted_number_is_not_given_to_other_content() -> None:
    """Whoever noted `thing@1.0.1` never gets anything else, unless the registry is mutable."""
    registry = Registry("memory://")
    registry.save("thing", 1)
    registry.save("thing", 2)
    registry.delete("thing@1.0.1")
    with pytest.raises(VersionConflictError, match="deleted"):
        registry.save("thing@1.0.1", 3)
    assert registry.save("thing@1.0.1", 2) == "1.0.1"
    assert registry.load("thing@1.0.1") == 2
    registry.delete("thing@1.0.1")
    assert Registry(registry.backend, mutable=True).save("thing@1.0.1", 3) == "1.0.1"
