"""Healing: what is damaged or lost is written anew, from what is whole here and from another copy.

Nothing that can be read is written over, and no file of data ever is: what replaces it has a new name, and the refs
that named the old one are swung to it by compare-and-swap. Whoever stops in the middle leaves every version as it was or
healed; healing again does the rest.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from casreg.digest import digest_of
from casreg.display import first_of
from casreg.exceptions import CasregError, CorruptError, InvalidArgumentError, NotFound, StorageError
from casreg.keys import manifest_key, parse_data_key
from casreg.names import is_hidden
from casreg.packs import key_of
from casreg.progress import Progress
from casreg.refs.uploads import holds_uploads
from casreg.verify.heads import renew_head, renew_marker
from casreg.verify.histories import read_name
from casreg.verify.rebuilding import Case, Missing, swing
from casreg.verify.recovering import Recovery
from casreg.verify.report import Healing, Left
from casreg.verify.structure import look
from casreg.verify.supply import LostError, Supply
from casreg.verify.survey import names_in
from casreg.verify.tables import PackTables, read_table
from casreg.verify.uploads import take_away
from casreg.verify.verification import examine, look_at_roots

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from casreg.digest import Digest
    from casreg.model import PackRef
    from casreg.progress import ProgressCallback
    from casreg.refs import Entry
    from casreg.repository import Repository
    from casreg.verify.findings import Finding, Use
    from casreg.verify.report import Damage
    from casreg.verify.survey import Survey

_ROUNDS: Final = 4
_AT_A_TIME: Final = 256
_NAMED: Final = 5
_TOGETHER: Final = 64
"""So many versions are written before refs are swung to them: a ref may take one update a second."""
_DATA: Final = frozenset({"manifest", "placement", "history"})

log = logging.getLogger("casreg.verify")


def heal(
    repository: Repository,
    source: Repository,
    mark: Callable[[Repository, Collection[str]], None],
    *,
    dry_run: bool = False,
    progress: ProgressCallback | None = None,
) -> Healing:
    """Read every byte, and write what is damaged anew with what is whole here and in `source`.

    Args:
        repository: What is healed.
        source: Another copy. Only read.
        mark: Sees that nobody builds on the files with these keys any more.
        dry_run: Only say what could be healed.
        progress: Is told, as by `verify`; and in phase `heal` bytes of versions.

    Raises:
        InvalidArgumentError: The source is the same place.
        CommitConflictError, CommitUnknownError: Others kept winning; an answer was lost. Heal again.
        StorageError: A place cannot be read, or refused. Heal again.
    """
    target, other = repository.without_copies(), source.without_copies()
    if target.backend.location == other.backend.location:
        raise InvalidArgumentError(
            f"{target.backend.location} cannot heal itself: name another copy, as heal('backup.casreg')"
        )
    began = time.monotonic()
    healer = _Healer(examine(target, 1.0, progress=progress), other, mark, progress)
    return healer.foreseen(began) if dry_run else healer.run(began)


class _Healer:
    """One healing. Not thread-safe."""

    def __init__(
        self,
        seen: Survey,
        source: Repository,
        mark: Callable[[Repository, Collection[str]], None],
        progress: ProgressCallback | None,
    ) -> None:
        self._seen = seen
        self._target = seen.repository
        self._backend = seen.repository.backend
        self._source = source
        self._supply = Supply(self._target, source, seen.checked)
        self._mark = mark
        self._progress = progress
        self._found = list(seen.findings.all())
        self._before = {one.key: one for one in seen.damage}
        self._reasons: dict[str, str] = {}
        self._brought: list[str] = []
        self._marked: set[str] = set()
        self._stored = 0
        self._done = 0

    # Doing it

    def run(self, began: float) -> Healing:
        """Heal what can be healed."""
        lost = self._lost_refs()
        if self._damaged("marker"):
            renew_marker(self._backend)
        # A damaged pack counts also if nobody needs it by now: a save may be building on it.
        if self._found or lost or self._supply.damaged:
            self._target.marker()  # it may say that this casreg must not, or not here
            if self._damaged("head", "names"):
                renew_head(self._backend, self._source.backend, self._seen.stamps)
            self._heal_names(lost)
            self._heal_versions()
            self._heal_index()
            look_at_roots(self._seen)
        left = self._seen.findings.all()
        damages = {one.key: one for one in self._seen.damage}
        return self._result(
            [one for key, one in self._before.items() if key not in damages],
            [Left(damages[found.key], self._reason(found)) for found in left],
            began,
            dry_run=False,
        )

    def _heal_names(self, lost: Sequence[str]) -> None:
        """Refs first, then segments of histories: what they lead to is looked at then."""
        refs = [_name(found) for found in self._damaged("ref")]
        uploads = take_away(self._target, refs, self._damaged("manifest", "placement"))
        named = {*(_name(found) for found in self._damaged("ref", "history")), *lost, *uploads}
        for name in refs:
            if name not in uploads:
                self._recover(name, Recovery.ref)
        self._brought = [name for name in lost if self._recover(name, Recovery.ref)]
        for name in sorted({_name(found) for found in self._damaged("history")}):
            self._recover(name, Recovery.history)
        if named:
            self._look(named)
            self._seen.check(self._seen.unchecked, self._progress)
            self._look(self._seen.settle())
            self._supply.learn(self._seen.checked)

    def _recover(self, name: str, step: Callable[[Recovery], None]) -> bool:
        """Whether a ref was put there."""
        try:
            recovery = Recovery(self._supply, name)
            step(recovery)
        except (LostError, CorruptError) as err:
            self._reasons[name] = str(err)
            return False
        self._stored += recovery.stored
        return recovery.restored

    def _heal_versions(self) -> None:
        """Until no version needs anything that is damaged; also of those that were committed meanwhile."""
        for _ in range(_ROUNDS):
            cases = self._cases()
            bad = self._bad()
            # What was committed just before the mark may need what is marked: refs are looked at once more after it.
            was_marked = bad <= self._marked
            self._try_to_mark(bad)
            self._swing(cases)
            if was_marked and not cases:
                return
            self._look(names_in(self._target))

    def _swing(self, cases: Sequence[Case]) -> None:
        total = self._done + sum(case.entry.size for case in cases)
        for at in range(0, len(cases), _TOGETHER):
            some = cases[at : at + _TOGETHER]
            stored, failed = swing(self._supply, some)
            self._stored += stored
            self._reasons.update((manifest_key(digest), reason) for digest, reason in failed.items())
            self._done += sum(case.entry.size for case in some)
            if self._progress:
                label = some[-1].uses[0].label
                self._progress(Progress("heal", label, self._done, total, 0, self._stored))

    def _try_to_mark(self, bad: set[str]) -> bool:
        """Whether all of it is marked. A collection that is under way may wait for what is healed only now."""
        if bad <= self._marked:
            return True
        try:
            self._mark(self._target, bad)
        except CasregError as err:
            log.warning("writers were not told of %d damaged files yet: %s", len(bad), err)
            return False
        self._marked |= bad
        return True

    def _heal_index(self) -> None:
        keys = [found.key for found in self._found if found.kind == "index" and not found.unread]
        if not keys:
            return
        self._backend.delete(keys)
        sound = [pack for pack in self._seen.needed if not self._is_bad(pack)]
        for at in range(0, len(sound), _AT_A_TIME):
            rows = []
            for pack in sound[at : at + _AT_A_TIME]:
                with suppress(NotFound):  # it was moved meanwhile, and collected
                    rows.append((pack, list(read_table(self._backend, pack))))
            self._target.index.add(rows)

    # Only looking

    def foreseen(self, began: float) -> Healing:
        """Say what could be healed."""
        for found in self._damaged("ref", "history"):
            if not holds_uploads(_name(found)):
                self._foresee_name(_name(found), found)
        self._brought = self._lost_refs()
        for case in self._cases():
            try:
                self._stored += Missing(self._supply, case.manifest, case.entry).check()
            except (LostError, CorruptError) as err:
                self._reasons[manifest_key(case.manifest)] = str(err)
        left = [found for found in self._found if not self._can_be_healed(found)]
        kept = {found.key for found in left}
        return self._result(
            [one for key, one in self._before.items() if key not in kept],
            [Left(self._before[found.key], self._reason(found)) for found in left],
            began,
            dry_run=True,
        )

    def _foresee_name(self, name: str, found: Finding) -> None:
        try:
            recovery = Recovery(self._supply, name)
            named = read_name(self._target, name)
            if found.kind == "history" and named is not None:
                recovery.check_history(named.lost)
        except LostError as err:
            self._reasons[name] = str(err)

    def _can_be_healed(self, found: Finding) -> bool:
        if found.unread:
            return False
        if found.labels:
            return _name(found) not in self._reasons
        return all(manifest_key(use.manifest) not in self._reasons for use in self._users(found))

    # What there is to do

    def _damaged(self, *kinds: str) -> list[Finding]:
        return [found for found in self._found if found.kind in kinds and found.severity == "damage"]

    def _lost_refs(self) -> list[str]:
        """Names that have no ref here, or one that says nothing, though versions are here that the source has of them."""
        here = set(names_in(self._target)) - self._seen.empty
        absent = sorted(name for name in set(names_in(self._source)) - here if not is_hidden(name))
        unreached = (self._seen.listed or set()) - self._seen.manifests
        if not absent or not unreached:
            return []
        looked = (look(self._backend, digest, PackTables(self._backend)).identities for digest in unreached)
        contents = {identities[1] for identities in looked if identities is not None}
        named = (read_name(self._source, name) for name in absent)
        return [
            one.name
            for one in named
            if one is not None
            and any(use.manifest in unreached or entry.content in contents for use, entry in one.uses.items())
        ]

    def _is_bad(self, pack: PackRef) -> bool:
        checked = self._seen.checked.get(pack)
        return checked is not None and checked.is_damaged

    def _cases(self) -> list[Case]:
        """The versions that need something damaged, and were not found to be lost."""
        uses: dict[Use, None] = {}
        for found in self._seen.findings.all():
            if found.kind in ("manifest", "placement") and found.severity == "damage":
                uses.update((use, None) for use in found.uses if not holds_uploads(use.name))
        for pack, needing in self._seen.needed.items():
            if self._is_bad(pack):
                uses.update(dict.fromkeys(needing))
        grouped: dict[tuple[Digest, Digest], list[tuple[Use, Entry]]] = defaultdict(list)
        entries: dict[str, dict[Use, Entry]] = {}
        for use in uses:
            if use.name not in entries:
                named = read_name(self._target, use.name)
                entries[use.name] = named.uses if named else {}
            entry = entries[use.name].get(use)
            if entry is not None and manifest_key(use.manifest) not in self._reasons:
                grouped[use.manifest, entry.content].append((use, entry))
        cases = [Case(some[0][1], tuple(use for use, _ in some)) for some in grouped.values()]
        return sorted(cases, key=lambda case: case.uses[0])  # those of a name together

    def _bad(self) -> set[str]:
        """Files of data that are there, and have been read twice with wrong bytes."""
        files = {found.key for found in self._damaged(*_DATA) if self._is_wrong(found.key)}
        return files | self._supply.damaged

    def _is_wrong(self, key: str) -> bool:
        parsed = parse_data_key(key)
        try:
            return parsed is not None and digest_of(self._backend.get(key).data) != parsed.digest
        except StorageError:  # it is not there, or does not show what it is
            return False

    def _look(self, names: Collection[str]) -> None:
        self._seen.settle()
        self._seen.look(names)
        self._seen.settle()

    # What came of it

    def _users(self, found: Finding) -> list[Use]:
        users = [
            use for pack, needing in self._seen.needed.items() if key_of(pack) == found.key for use in needing
        ]
        return [*found.uses, *users]

    def _reason(self, found: Finding) -> str:
        if found.unread:
            return "it could not be read, which does not show that it is damaged: nothing was done"
        keys = [_name(found)] if found.labels else [manifest_key(use.manifest) for use in self._users(found)]
        reasons = dict.fromkeys(self._reasons[key] for key in keys if key in self._reasons)
        return first_of(list(reasons), _NAMED) if reasons else "others changed it meanwhile: heal again"

    def _result(
        self, healed: Sequence[Damage], left: Sequence[Left], began: float, *, dry_run: bool
    ) -> Healing:
        return Healing(
            location=self._backend.location,
            source=self._source.backend.location,
            dry_run=dry_run,
            healed=tuple(healed),
            left=tuple(left),
            brought_back=tuple(self._brought),
            marked=tuple(sorted(self._marked)),
            stored=self._stored,
            seconds=time.monotonic() - began,
        )


def _name(found: Finding) -> str:
    return found.labels[0].partition("@")[0]
