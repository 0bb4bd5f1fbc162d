"""Everything that refs lead to: which versions there are, which files they need, and what is wrong with these."""

from __future__ import annotations

import threading
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from casreg.keys import REFS, manifest_key, name_of_ref_key
from casreg.listing import each
from casreg.names import is_hidden
from casreg.packs import key_of
from casreg.progress import Progress
from casreg.threads import ahead, workers
from casreg.verify.checking import Checked, check_pack
from casreg.verify.findings import UNREADABLE, Finding, Findings, UnusableError, Use
from casreg.verify.histories import Named, read_name
from casreg.verify.structure import Looked, look, read_manifest
from casreg.verify.tables import PackTables

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from casreg.digest import Digest
    from casreg.head import RunId
    from casreg.model import PackRef
    from casreg.progress import ProgressCallback
    from casreg.refs import Entry
    from casreg.repository import Repository
    from casreg.verify.report import Damage, Severity
    from casreg.versions import Version

_AHEAD: Final = 2


@dataclass(frozen=True, slots=True)
class _Name:
    """What is kept of a name.

    Attributes:
        packs: The packs that each of its versions needs.
        tags: Its tags.
        stamp: The collector's run that it was fenced with.
        says_nothing: Whether its ref can be read, and knows of no version.
    """

    packs: Mapping[Use, tuple[PackRef, ...]]
    tags: Mapping[str, Version]
    stamp: RunId | None
    says_nothing: bool


class Survey:
    """What was seen of a repository. It grows as more names are looked at; each manifest and table is judged once.

    Attributes:
        repository: The repository at its place, without copies.
        findings: What is wrong.
        checked: The packs that were read byte by byte, and what they are.
        listed: The manifests that there were at the beginning; None if they were not listed.
    """

    def __init__(self, repository: Repository) -> None:
        """No I/O yet. A copy would hide that the place has lost something, so copies are not read."""
        self.repository = repository.without_copies()
        self.findings = Findings()
        self.checked: dict[PackRef, Checked] = {}
        self.listed: set[Digest] | None = None
        self._tables = PackTables(self.repository.backend)
        self._names: dict[str, _Name] = {}
        self._looked: dict[Digest, Looked] = {}
        self._lock = threading.Lock()

    # Questions

    @property
    def names(self) -> int:
        """How many refs were read."""
        return len(self._names)

    @property
    def versions(self) -> int:
        """How many versions live; what an unfinished upload holds is none."""
        names = (known for name, known in self._names.items() if not is_hidden(name))
        return sum(not use.dead for name in names for use in name.packs)

    @property
    def manifests(self) -> set[Digest]:
        """The manifests that are reached."""
        return {use.manifest for name in self._names.values() for use in name.packs}

    @property
    def stamps(self) -> set[RunId]:
        """The runs that refs were fenced with."""
        return {name.stamp for name in self._names.values() if name.stamp is not None}

    @property
    def needed(self) -> dict[PackRef, list[Use]]:
        """Each pack that a version needs, with those that do."""
        needed: dict[PackRef, list[Use]] = defaultdict(list)
        for name in self._names.values():
            for use, packs in name.packs.items():
                for pack in packs:
                    needed[pack].append(use)
        return dict(needed)

    @property
    def unchecked(self) -> list[PackRef]:
        """Packs that versions need and whose bytes were not read yet."""
        return [pack for pack in self.needed if pack not in self.checked]

    @property
    def empty(self) -> set[str]:
        """Names whose refs can be read, and say nothing."""
        return {name for name, known in self._names.items() if known.says_nothing}

    @property
    def packs(self) -> dict[PackRef, tuple[str, ...]]:
        """Each pack that a live version needs, with those that do as `name@version`."""
        live = {pack: tuple(use.label for use in uses if not use.dead) for pack, uses in self.needed.items()}
        return {pack: labels for pack, labels in live.items() if labels}

    @property
    def damage(self) -> tuple[Damage, ...]:
        """What is wrong."""
        tags = {name: known.tags for name, known in self._names.items()}
        return tuple(found.damage(tags) for found in self.findings.all())

    # Looking

    def look(self, names: Iterable[str], progress: ProgressCallback | None = None) -> None:
        """Look at names, and at everything that they lead to but the bytes of packs; again at those seen before."""
        chosen = list(names)
        for number, (name, known) in enumerate(each(chosen, self._look_at), 1):
            if known is None:
                self._names.pop(name, None)
            else:
                self._names[name] = known
                self._add_uses(known)
            if progress:
                progress(Progress("survey", name, number, len(chosen), 0, 0))

    def _add_uses(self, known: _Name) -> None:
        """Packs that were read before, and are damaged, may have been given to new versions since."""
        needing: dict[PackRef, list[Use]] = defaultdict(list)
        for use, packs in known.packs.items():
            for pack in packs:
                if pack in self.checked and self.checked[pack].problem:
                    needing[pack].append(use)
        for pack, uses in needing.items():
            self._add(self.checked[pack], uses)

    def _look_at(self, name: str) -> _Name | None:
        named = read_name(self.repository, name)
        if named is None:
            return None
        for found in named.findings:
            self.findings.add(found)
        packs = {use: self._look_at_version(use, entry) for use, entry in named.uses.items()}
        ref = named.ref
        says_nothing = ref is not None and not ref.records and not ref.older
        return _Name(packs, named.tags, ref.stamp if ref else None, says_nothing)

    def _look_at_version(self, use: Use, entry: Entry) -> tuple[PackRef, ...]:
        with self._lock:
            looked = self._looked.get(use.manifest)
        if looked is None:
            looked = look(self.repository.backend, use.manifest, self._tables)
            with self._lock:
                self._looked[use.manifest] = looked
        for found in looked.findings:
            self.findings.add(replace(found, uses=(use,)))
        if looked.identities not in (None, (entry.data, entry.content)):
            key = manifest_key(use.manifest)
            problem = f"{key} is not what the ref of {use.name}@{use.version} says it is"
            self.findings.add(Finding("manifest", key, "damage", problem, (use,)))
        return looked.packs

    def check(self, packs: Sequence[PackRef], progress: ProgressCallback | None = None) -> None:
        """Read every byte of these packs, several at once."""
        total, done = sum(pack.size for pack in packs), 0
        needed = self.needed
        for pack, checked in ahead(self._check, packs, _AHEAD * workers()):
            self.checked[pack] = checked
            if checked.problem:
                self._add(checked, needed.get(pack, []))
            done += pack.size
            if progress:
                progress(Progress("verify", key_of(pack), done, total, 0, done))

    def _check(self, pack: PackRef) -> tuple[PackRef, Checked]:
        try:
            return pack, check_pack(self.repository.backend, pack)
        except UNREADABLE as err:
            return pack, Checked(pack, str(err), unreadable=True, broken=((0, pack.size),))

    def _add(self, checked: Checked, uses: Sequence[Use]) -> None:
        severity: Severity = "unreadable" if checked.unreadable else "damage"
        touched = [use for use in uses if self._touches(checked, use)] or uses
        key = key_of(checked.pack)
        self.findings.add(
            Finding(
                "pack",
                key,
                severity,
                checked.problem,
                tuple(touched),
                missing=checked.missing,
                unread=checked.unreadable,
            )
        )

    def _touches(self, checked: Checked, use: Use) -> bool:
        try:
            return checked.touches(read_manifest(self.repository.backend, use.manifest).placement)
        except UnusableError:
            return True

    # What moved on meanwhile

    def settle(self) -> list[str]:
        """Read the refs again that lead to something wrong, and drop what they do not lead to any more.

        Returns:
            The names that moved on, which have to be looked at again.
        """
        now = _Now(self.repository)
        self.findings.keep(now.judged)
        with self._lock:
            self._looked = {key: looked for key, looked in self._looked.items() if not looked.findings}
        self._tables.forget_failures()
        return sorted(now.moved)


class _Now:
    """What the refs say now of what was found before."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._named: dict[str, Named | None] = {}
        self.moved: set[str] = set()

    def judged(self, found: Finding) -> Finding | None:
        """What is left of it."""
        if found.labels:
            return self._of_name(found)
        if not found.uses:
            return found
        uses = tuple(use for use in found.uses if use in self._uses(use.name))
        self.moved.update(use.name for use in found.uses if use not in uses)
        if not uses or (found.missing and all(use.dead for use in uses)):
            return None  # of what was deleted, data may have been collected
        return replace(found, uses=uses)

    def _of_name(self, found: Finding) -> Finding | None:
        name = found.labels[0].partition("@")[0]
        named = self._read(name)
        if named is not None and any(one.key == found.key for one in named.findings):
            return found
        self.moved.add(name)
        return None

    def _uses(self, name: str) -> Mapping[Use, Entry]:
        named = self._read(name)
        return named.uses if named else {}

    def _read(self, name: str) -> Named | None:
        if name not in self._named:
            self._named[name] = read_name(self._repository, name)
        return self._named[name]


def names_in(repository: Repository) -> list[str]:
    """All names that have a ref, hidden ones too.

    Raises:
        StorageError: They cannot be listed.
    """
    found = (name_of_ref_key(info.key) for info in repository.backend.list(REFS))
    return sorted(name for name in found if name is not None)


def survey(repository: Repository) -> Survey:
    """Look at every name, and at everything that it leads to but the bytes of packs.

    Raises:
        StorageError: The place cannot be listed.
    """
    seen = Survey(repository)
    seen.look(names_in(repository))
    seen.settle()
    return seen


def check_packs(seen: Survey) -> Iterator[Damage]:
    """Read every byte of the packs that versions need, and give what is wrong with them."""
    seen.check(list(seen.needed))
    seen.settle()
    yield from (one for one in seen.damage if one.kind == "pack")


def sample_of(packs: Iterable[PackRef], share: float, draw: random.Random) -> list[PackRef]:
    """Packs drawn at random until they have `share` of all bytes; at least one, if there is any."""
    drawn = sorted(packs)
    draw.shuffle(drawn)
    wanted = share * sum(pack.size for pack in drawn)
    chosen: list[PackRef] = []
    held = 0
    for pack in drawn:
        if chosen and held >= wanted:
            break
        chosen.append(pack)
        held += pack.size
    return chosen
