"""Writers that are killed or stopped at random moments: nothing that was promised is lost, nothing stays behind."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from casreg.backends.local import LocalBackend
from casreg.exceptions import LockTimeoutError
from casreg.registry import Registry
from casreg.repository import Repository
from casreg.verify import check_packs, survey
from registry.lab import noise

if TYPE_CHECKING:
    from casreg.backends.base import Backend
    from places import Places

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="processes cannot be killed so here")

WRITER = """
import os, random, sys
from pathlib import Path
from casreg import Registry

place, seed = sys.argv[1], int(sys.argv[2])
draw = random.Random(seed)
registry = Registry(place, mutable=True)
folder = Path(sys.argv[3])
folder.mkdir(exist_ok=True)
for number in range(40):
    (folder / str(number)).write_bytes(draw.randbytes(2000))
print('ready', flush=True)
turn = 0
while True:
    turn += 1
    kind = turn % 5
    name = f'name:{draw.randrange(4)}'
    if kind == 0:
        done = registry.save(name, {'seed': seed, 'turn': turn})
    elif kind == 1:
        done = registry.save(name, draw.randbytes(draw.randrange(20_000, 400_000)), tags=['last'])
    elif kind == 2:
        done = registry.save('folder', folder)
        name = 'folder'
    elif kind == 3:
        done = registry.save('over', draw.randbytes(30_000), version='1.0.0')
        name = 'over'
    else:
        name, done = f'own:{seed}', registry.save(f'own:{seed}', turn)
        if turn % 3 == 0:
            registry.delete(name, done)
            continue
    print(f'{name} {done}', flush=True)
"""


class Writer:
    """A process that saves without end, and says what it has saved."""

    def __init__(self, place: str, seed: int, scratch: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", WRITER, place, str(seed), str(scratch / f"tree-{seed}")],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self._said = self._process.stdout
        assert self._said.readline() == "ready\n"

    def signal(self, number: int) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def wait_for_saves(self, count: int) -> list[str]:
        """The next `count` things that it saved."""
        return [self._said.readline().strip() for _ in range(count)]

    def kill(self) -> list[str]:
        """Kill it; gives what it has saved since it was last asked. Complete lines only."""
        self._process.kill()
        said = self._said.read()
        assert self._process.wait() == -signal.SIGKILL
        self._said.close()
        return [line for line in said[: said.rfind("\n") + 1].splitlines() if line]


def _check(backend: Backend, saved: list[str]) -> None:
    """All that was promised is there; all that is listed loads; all that is reached verifies; saving works at once."""
    began = time.monotonic()
    registry = Registry(backend)
    registry.save("after", noise(30_000, 9))
    assert time.monotonic() - began < 5
    listed = {name: registry.list_versions(name) for name in registry.list_objects()}
    for line in saved:
        name, version = line.split()
        assert version in listed[name], f"{line} was lost"
    for name, versions in listed.items():
        for version in versions[-3:]:
            registry.load(name, version)
    repository = Repository(backend)
    surveyed = survey(repository)
    assert not surveyed.damage
    assert surveyed.versions == sum(len(versions) for versions in listed.values())


def _check_all(backend: Backend) -> None:
    repository = Repository(backend)
    assert not list(check_packs(survey(repository)))


def _leftovers(place: Path) -> int:
    """Bytes and files that stand in no key."""
    keys = {info.key for info in LocalBackend(place).list("")}
    files = [path for path in place.rglob("*") if path.is_file()]
    return sum(
        1
        for path in files
        if (key := path.relative_to(place).as_posix()) not in keys and not key.startswith("locks/")
    )


def _kills(backend: Backend, scratch: Path, times: int) -> None:
    draw = random.Random(times)
    scratch.mkdir()
    for turn in range(times):
        writers = [Writer(backend.location, 1000 * turn + number, scratch) for number in range(2)]
        saved = [line for writer in writers for line in writer.wait_for_saves(draw.randrange(3))]
        time.sleep(draw.random() * 0.1)  # any moment: this is what is tested
        for writer in writers:
            saved += writer.kill()
        _check(backend, saved)
        if isinstance(backend, LocalBackend):
            # Each killed process leaves at most the files it had open; the next writers clean up.
            assert _leftovers(Path(backend.root)) <= 16
    _check_all(backend)


TURNS = {"local": 10, "s3": 3, "gcs": 3}


def test_killed_writers(shared_places: Places, tmp_path: Path) -> None:
    """Two writers at a time are killed, some times: nothing that was promised is lost, and others go on at once."""
    _kills(shared_places.new(), tmp_path / "scratch", TURNS[shared_places.kind])


@pytest.mark.soak
def test_killed_writers_often(shared_places: Places, tmp_path: Path) -> None:
    """Ten times as many are killed."""
    _kills(shared_places.new(), tmp_path / "scratch", 10 * TURNS[shared_places.kind])


def test_leftovers_are_cleaned(tmp_path: Path) -> None:
    """What killed writers leave in the folder for temporary files is gone after the first save of a new process."""
    place = tmp_path / "place"
    (tmp_path / "scratch").mkdir()
    for turn in range(4):
        writer = Writer(str(place), turn, tmp_path / "scratch")
        writer.wait_for_saves(2)
        writer.kill()
    Registry(place).save("after", 1)
    assert _leftovers(place) == 0


def test_a_stopped_writer(tmp_path: Path) -> None:
    """Others wait for a stopped writer at most the bound; an error names its process; all go on when it continues."""
    place = tmp_path / "place"
    Registry(place).save("name:0", 1)
    ready = tmp_path / "stopped"
    code = (
        "import os, signal, sys\n"
        "from casreg.backends.local import FileSystem, LocalBackend\n"
        "from casreg import Registry\n"
        "class Stops(FileSystem):\n"
        "    def replace(self, source, target):\n"  # under the lock of the ref
        "        if target.endswith('/refs/name_0'):\n"
        "            open(sys.argv[2], 'w').close()\n"
        "            os.kill(os.getpid(), signal.SIGSTOP)\n"
        "        super().replace(source, target)\n"
        "registry = Registry(LocalBackend(sys.argv[1], file_system=Stops()))\n"
        "print(registry.save('name:0', 'from the stopped'), flush=True)\n"
    )
    stopped = subprocess.Popen(
        [sys.executable, "-c", code, str(place), str(ready)], stdout=subprocess.PIPE, text=True
    )
    try:
        deadline = time.monotonic() + 60
        while not ready.exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        began = time.monotonic()
        with pytest.raises(LockTimeoutError, match=rf"\b{stopped.pid}\b"):
            Registry(LocalBackend(place, lock_timeout=0.5)).save("name:0", "from another")
        assert time.monotonic() - began < 10
        assert Registry(place).load("name:0") == 1  # readers wait for nobody
        stopped.send_signal(signal.SIGCONT)
        out, _ = stopped.communicate(timeout=60)
        assert out == "1.0.1\n"
    finally:
        if stopped.poll() is None:
            stopped.send_signal(signal.SIGCONT)
            stopped.kill()
            stopped.communicate()
    assert Registry(place).save("name:0", "from another") == "1.0.2"
    assert Registry(place).load("name:0@1.0.1") == "from the stopped"


SAVER = """
import sys
from casreg import Registry
registry = Registry(sys.argv[1])
for number in range(int(sys.argv[3])):
    print(registry.save('same', [sys.argv[2], number]), flush=True)
"""


def test_processes_that_save_one_name(shared_places: Places) -> None:
    """Four processes that save one name ten times each get forty versions, none lost, none twice."""
    place = shared_places.new().location
    savers = [
        subprocess.Popen(
            [sys.executable, "-c", SAVER, place, str(number), "10"],
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    given = [line for saver in savers for line in saver.communicate(timeout=120)[0].split()]
    assert [saver.returncode for saver in savers] == [0] * 4
    registry = Registry(place)
    assert sorted(given) == sorted(registry.list_versions("same"))
    assert len(set(given)) == 40
    assert {tuple(registry.load("same", version)) for version in given} == {
        (str(who), number) for who in range(4) for number in range(10)
    }


def test_the_first_save_of_many_processes(shared_places: Places) -> None:
    """Four processes that make one repository at once make one."""
    backend = shared_places.new()
    savers = [
        subprocess.Popen(
            [
                sys.executable,
                "-c",
                SAVER.replace("'same'", "f'own:{sys.argv[2]}'"),
                backend.location,
                str(n),
                "1",
            ],
            stdout=subprocess.PIPE,
        )
        for n in range(4)
    ]
    for saver in savers:
        saver.communicate(timeout=60)
        assert saver.returncode == 0
    assert Registry(backend).list_objects() == [f"own:{n}" for n in range(4)]
    assert not list(backend.list("probe/"))


INTERRUPTED = """
import sys
from casreg import Registry
registry = Registry(sys.argv[1])
data = __import__('random').Random(1).randbytes(150_000_000)
registry.save('thing', 1)
try:
    print('ready', flush=True)
    while True:
        registry.save('thing', data)
        data = b'x' + data  # not quite the same
except KeyboardInterrupt:
    print('interrupted', flush=True)
print(registry.save('after', 1), registry.load('after'), flush=True)
"""


@pytest.mark.parametrize("delay", [0.0, 0.05, 0.3])
def test_an_interrupted_save(shared_places: Places, delay: float) -> None:
    """Control-C ends a save soon, is not swallowed, commits nothing half, and the same Registry goes on."""
    backend = shared_places.new()
    saver = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, backend.location],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert saver.stdout is not None
    assert saver.stdout.readline() == "ready\n"
    time.sleep(delay)
    saver.send_signal(signal.SIGINT)
    began = time.monotonic()
    said, errors = saver.communicate(timeout=60)
    assert said == "interrupted\n1.0.0 1\n", errors
    assert errors == ""
    assert time.monotonic() - began < 20
    _check(backend, ["thing 1.0.0", "after 1.0.0"])


MANY = """
import random, sys
from casreg import Registry
registry = Registry(sys.argv[1])
draw = random.Random(int(sys.argv[2]))
for number in range(15):
    registry.save(f'object:{sys.argv[2]}:{number}', draw.randbytes(100_000))
"""


def test_the_index_of_many_processes_is_exact(shared_places: Places) -> None:
    """After several processes saved at once, and merged the index under each other's feet, no chunk is missing."""
    backend = shared_places.new()
    savers = [
        subprocess.Popen([sys.executable, "-c", MANY, backend.location, str(seed)]) for seed in range(3)
    ]
    assert [saver.wait(timeout=120) for saver in savers] == [0] * 3
    packs = {info.key for info in backend.list("packs/")}
    registry = Registry(backend)
    for seed in range(3):
        draw = random.Random(seed)
        for number in range(15):
            registry.save(f"again:{seed}:{number}", draw.randbytes(100_000))
    assert {info.key for info in backend.list("packs/")} == packs
