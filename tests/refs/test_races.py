"""Many writers of one name at once: each commit gets a version of its own, and none is lost."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from casreg.backends.local import LocalBackend
from casreg.backends.memory import MemoryBackend
from casreg.refs import spill
from casreg.refs.commit import Refs
from refs.lab import LATER, NAME, save, v, versions_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from casreg.refs import Attempt, History, Removal

THREADS = 8
PROCESSES = 8
SAVES = 12

WRITER = """
import sys
from casreg.backends.local import LocalBackend
from casreg.digest import digest_of
from casreg.refs import Entry, Refs

refs = Refs(LocalBackend(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for _ in range(int(sys.argv[2])):
    def change(attempt):
        version = attempt.history.next_version()
        digest = digest_of(attempt.write.encode())
        entry = Entry(digest, digest, digest, 1, 1, 1, "2026-11-22T06:20:00Z", attempt.write)
        chosen.append(str(version))
        return attempt.history.with_version(version, entry)
    chosen = []
    done = refs.commit("my:model", change)
    print(chosen[-1], done.write, flush=True)
"""


def judge(refs: Refs, answers: list[tuple[str, str]]) -> None:
    """Every answer is a version of its own, all are there, each is of the write that was told, and no others."""
    assert max(Counter(version for version, _ in answers).values()) == 1
    found = refs.ask(NAME, lambda history: list(history.live()) if history else [])
    assert {str(version): entry.write for version, entry in found} == dict(answers)
    expected = [f"1.0.{patch}" for patch in range(len(answers))]
    assert sorted(versions_of(refs)) == sorted(expected), "numbers follow each other without a gap"


def test_threads_that_save_one_name_get_versions_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight threads on one Refs, spilling all the while: as many versions as saves, none lost."""
    monkeypatch.setattr(spill, "INLINE_LIMIT", 8_000)
    monkeypatch.setattr(spill, "_LEAST_ROOM", 2_000)
    refs = Refs(MemoryBackend())

    def work(_: int) -> list[tuple[str, str]]:
        return [(version, done.write or "") for version, done in (save(refs) for _ in range(SAVES))]

    with ThreadPoolExecutor(THREADS) as pool:
        answers = [answer for answers in pool.map(work, range(THREADS)) for answer in answers]
    assert len(answers) == THREADS * SAVES
    judge(refs, answers)


def test_processes_that_save_one_name_get_versions_of_their_own(tmp_path: Path) -> None:
    """Eight processes on one folder, started at once: as many versions as saves, none lost, none fails."""
    children = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", WRITER, str(tmp_path / "store"), str(SAVES)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUTF8": "1"},
        )
        for _ in range(PROCESSES)
    ]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    answers: list[tuple[str, str]] = []
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    for child in children:
        out, err = child.communicate(timeout=120)
        assert child.returncode == 0, err
        answers += [(line.split()[0], line.split()[1]) for line in out.splitlines()]
    assert len(answers) == PROCESSES * SAVES
    judge(Refs(LocalBackend(tmp_path / "store")), answers)


def test_savers_deleters_and_taggers_at_once() -> None:
    """Other changes in between take nothing away: what was saved and not deleted lives, numbers stay used."""
    refs = Refs(MemoryBackend())
    save(refs)
    saved: list[str] = []
    lock = threading.Lock()

    def saver(_: int) -> None:
        for _ in range(SAVES):
            version, _done = save(refs)
            with lock:
                saved.append(version)

    def deleter(_: int) -> None:
        for _ in range(SAVES):

            def change(removal: Removal) -> History | None:
                living = removal.history.live()
                return removal.history.without_version(living[-1][0], LATER) if len(living) > 1 else None

            refs.remove(NAME, change)

    def tagger(_: int) -> None:
        for _ in range(SAVES):

            def change(attempt: Attempt) -> History:
                return attempt.history.with_tag("prod", v("1.0.0")).with_notes(
                    v("1.0.0"), {"n": attempt.number}
                )

            refs.commit(NAME, change)

    with ThreadPoolExecutor(6) as pool:
        for future in [pool.submit(work, 0) for work in (saver, saver, saver, deleter, tagger, tagger)]:
            future.result()
    held = refs.read(NAME)
    assert held is not None
    history = held.history
    assert len(saved) == len(set(saved)) == 3 * SAVES
    for version in saved:
        record = history.record(v(version))
        assert record is not None
        assert (record.live is None) == (len(record.dead) == 1)
    assert history.ref.tags == {"prod": (v("1.0.0"), history.live()[0][1].manifest)}
    assert history.ref.rev == len(set(saved)) + 1 + 2 * SAVES + deletions(history)


def deletions(history: History) -> int:
    """How many versions are deleted."""
    return sum(bool(record.dead) for record in history.records().values())


FORKING = """
import os, sys
from casreg.backends.local import LocalBackend
from casreg.digest import digest_of
from casreg.refs import Entry, Refs

def change(attempt):
    digest = digest_of(attempt.write.encode())
    entry = Entry(digest, digest, digest, 1, 1, 1, "2026-11-22T06:20:00Z", attempt.write)
    return attempt.history.with_version(attempt.history.next_version(), entry)

refs = Refs(LocalBackend(sys.argv[1]))
refs.commit("my:model", change)
child = os.fork()
refs.commit("my:model", change)
if child == 0:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_saves_too(tmp_path: Path, fresh_python: Callable[..., str]) -> None:
    """A Refs that was used before a fork works on both sides of it."""
    fresh_python(FORKING, str(tmp_path / "store"))
    assert versions_of(Refs(LocalBackend(tmp_path / "store"))) == ["1.0.0", "1.0.1", "1.0.2"]
