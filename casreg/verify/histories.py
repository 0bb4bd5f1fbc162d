"""All that can be read of one name: its ref, and each segment of its history by itself."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from casreg.keys import ref_key
from casreg.verify.findings import UNREADABLE, finding, twice, uses_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from casreg.exceptions import CasregError
    from casreg.refs import Entry, Record
    from casreg.refs.document import OlderSegment, Ref
    from casreg.refs.history import History
    from casreg.repository import Repository
    from casreg.verify.findings import Finding, Use
    from casreg.versions import Version

_ROUNDS: Final = 5


@dataclass(frozen=True, slots=True)
class Named:
    """What can be read of a name.

    Attributes:
        name: The name.
        ref: Its ref; None if that cannot be read.
        records: What is said of its versions in what can be read.
        lost: The rows of those segments that cannot be read.
        findings: What is wrong with ref and segments.
    """

    name: str
    ref: Ref | None
    records: Mapping[Version, Record] = field(default_factory=dict)
    lost: tuple[OlderSegment, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def uses(self) -> dict[Use, Entry]:
        """The versions that have files, and what the ref says of them."""
        return uses_in(self.name, self.records)

    @property
    def tags(self) -> dict[str, Version]:
        """Its tags, and the version of each."""
        return {tag: version for tag, (version, _) in self.ref.tags.items()} if self.ref else {}


def read_name(repository: Repository, name: str) -> Named | None:
    """Read a name; None if it has no ref. What is wrong is found, and raises nothing."""
    key = ref_key(name)
    named: Named | None = None
    for _ in range(_ROUNDS):
        try:
            held = twice(lambda: repository.refs.read(name))
        except UNREADABLE as err:
            return Named(name, None, findings=(_of_ref(key, name, err),))
        if held is None:
            return None
        ref = held.history.ref
        if named is not None and named.ref is not None and all(row in ref.older for row in named.lost):
            return named  # the rows are still there, and so the segments should be
        named = read_segments(held.history)
        if not named.lost:
            return named
    return named


def _of_ref(key: str, name: str, err: CasregError) -> Finding:
    found = finding("ref", key, err)
    return replace(found, labels=(name,))


def read_segments(history: History) -> Named:
    """Read each segment of a history. What is wrong is found, and raises nothing."""
    ref = history.ref
    records: dict[Version, Record] = {}
    failed: list[tuple[OlderSegment, CasregError]] = []
    for row in ref.older:
        try:
            found = twice(lambda: dict(history.segments.read(row, ref.name).records()))  # noqa: B023 - called at once
        except UNREADABLE as err:
            failed.append((row, err))
            continue
        for version, record in found.items():
            records[version] = record.over(records[version]) if version in records else record
    for version, record in ref.records.items():
        records[version] = record.over(records[version]) if version in records else record
    findings = tuple(_of_segment(ref, row, err, records) for row, err in failed)
    return Named(ref.name, ref, records, tuple(row for row, _ in failed), findings)


def _of_segment(ref: Ref, row: OlderSegment, err: CasregError, known: Mapping[Version, Record]) -> Finding:
    found = finding("history", row.key, err)
    span = str(row.lowest) if row.lowest == row.highest else f">={row.lowest},<={row.highest}"
    tags = tuple(
        f"{ref.name}@{tag}"
        for tag, (version, _) in sorted(ref.tags.items())
        if row.lowest <= version <= row.highest and version not in known
    )
    problem = f"{found.problem}; it has {row.count} versions of {ref.name}"
    return replace(found, problem=problem, labels=(f"{ref.name}@{span}",), tags=tags)
