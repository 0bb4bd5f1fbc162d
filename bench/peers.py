"""The tools that are compared, one small class each: how to save with it, and how to load.

`FileTool` is what workloads A and B need (casreg, restic, borg), `DictTool` what the small objects need (casreg,
mindtrace, bare writes). Each call is a whole new process, measured from the outside.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from bench.measure import BenchError, Measured, run

HERE = Path(__file__).resolve().parent
ENVIRONMENTS = HERE / ".envs"
"""Where `--install-peers` puts the Python environments of peers; git ignores it."""


@dataclass(frozen=True, slots=True)
class Place:
    """One tool's folder in one round: its repository, and a home of its own with all its caches."""

    root: Path

    @property
    def repository(self) -> Path:
        """Where the tool keeps what it stores; its size is what is counted."""
        return self.root / "repository"

    @property
    def address(self) -> str:
        """The repository, as tools take it."""
        return str(self.repository)

    @property
    def home(self) -> Path:
        """Caches and settings, not counted as stored."""
        return self.root / "home"

    def environment(self) -> dict[str, str]:
        """The environment of the tool's process: nothing of the user's own settings, no cache outside `home`."""
        ours = ("AWS_", "BORG_", "CASREG_", "GOOGLE_", "MINDTRACE_", "MINIO_", "PYTHON", "RESTIC_", "XDG_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        folders = {
            "XDG_CACHE_HOME": "cache",
            "XDG_CONFIG_HOME": "config",
            "XDG_DATA_HOME": "data",
            "TMPDIR": "tmp",
        }
        for variable, name in folders.items():
            (self.home / name).mkdir(parents=True, exist_ok=True)
            kept[variable] = str(self.home / name)
        return kept | {
            "HOME": str(self.home),
            "BORG_BASE_DIR": str(self.home),
            "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
            "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes",
            "RESTIC_PASSWORD": "bench",
        }


class Whereabouts(Protocol):
    """Where a job works: a `Place` on this machine, or a bucket."""

    @property
    def root(self) -> Path:
        """The tool's folder in one round."""

    @property
    def address(self) -> str:
        """Where what it stores is."""

    def environment(self) -> dict[str, str]:
        """The environment of its process."""


class FileTool(Protocol):
    """A tool that keeps versions of files and folders."""

    @property
    def name(self) -> str:
        """What the tables call it."""

    def version(self) -> str:
        """Its version, as it says itself."""

    def prepare(self, place: Place) -> None:
        """Makes an empty repository; not timed."""

    def save(self, place: Place, source: Path, label: str) -> Measured:
        """Saves all that is below the folder `source` as a version that `load` finds under `label`."""

    def load(self, place: Place, source: Path, label: str, out: Path) -> Measured:
        """Writes the version `label` of `source` into the empty folder `out`, verified."""

    def loaded(self, source: Path, out: Path) -> Path:
        """Where below `out` the content of `source` has landed."""


class DictTool(Protocol):
    """A tool that keeps small objects; `dicts` is a JSON file with a list of them."""

    @property
    def name(self) -> str:
        """What the tables call it."""

    def version(self) -> str:
        """Its version, as it says itself."""

    def save_all(self, place: Place, dicts: Path) -> Measured:
        """Saves each dict under a name of its own, in one process."""

    def load_all(self, place: Place, dicts: Path) -> Measured:
        """Loads each of them, in one process that has not saved them."""


def job(place: Whereabouts, python: str, script: str, *arguments: str) -> Measured:
    """Runs one of the job scripts beside this file with a given Python.

    `-P` keeps the script's folder out of the import path: the job must load the installed package, and modules of
    the benchmark must not hide others.
    """
    place.root.mkdir(parents=True, exist_ok=True)
    return run([python, "-P", str(HERE / script), place.address, *arguments], env=place.environment())


def answer(measured: Measured) -> dict[str, Any]:
    """What a job script printed: one JSON object, in its last line."""
    result: dict[str, Any] = json.loads(measured.stdout.splitlines()[-1])
    return result


@dataclass(frozen=True, slots=True)
class Casreg:
    """casreg, as installed for the Python that runs the benchmark; both kinds of tool."""

    name: str = "casreg"
    _versions: dict[tuple[Path, str], str] = field(default_factory=dict)

    def version(self) -> str:
        """See `FileTool`."""
        code = "import importlib.metadata as m; print(m.version('casreg'))"
        return f"casreg {printed([sys.executable, '-P', '-c', code])}"

    def prepare(self, place: Place) -> None:
        """Nothing: the first save makes the repository, and its time includes that."""

    def save(self, place: Whereabouts, source: Path, label: str) -> Measured:
        """See `FileTool`. A folder with a single file is saved as that file."""
        measured = job(place, sys.executable, "casreg_job.py", "save-path", str(_only_file(source)))
        self._versions[place.root, label] = answer(measured)["version"]
        return measured

    def load(self, place: Whereabouts, source: Path, label: str, out: Path) -> Measured:
        """See `FileTool`."""
        del source
        version = self._versions[place.root, label]
        return job(place, sys.executable, "casreg_job.py", "load-path", version, str(out))

    def loaded(self, source: Path, out: Path) -> Path:
        """See `FileTool`."""
        # A file lands beside nothing else, a folder as `out` itself or below it under its own name.
        named = out / source.name
        return named if named.is_dir() else out

    def save_all(self, place: Whereabouts, dicts: Path) -> Measured:
        """See `DictTool`."""
        return job(place, sys.executable, "casreg_job.py", "save-dicts", str(dicts))

    def load_all(self, place: Whereabouts, dicts: Path) -> Measured:
        """See `DictTool`."""
        return job(place, sys.executable, "casreg_job.py", "load-dicts", str(dicts))


@dataclass(frozen=True, slots=True)
class Restic:
    """restic as a user starts it: compression `auto` (its default for new repositories) and its cache on."""

    name: str = "restic"

    def version(self) -> str:
        """See `FileTool`."""
        return printed(["restic", "version"])

    def prepare(self, place: Place) -> None:
        """See `FileTool`."""
        self._run(place, "init")

    def save(self, place: Place, source: Path, label: str) -> Measured:
        """See `FileTool`."""
        return self._run(place, "backup", "--tag", label, str(source))

    def load(self, place: Place, source: Path, label: str, out: Path) -> Measured:
        """See `FileTool`. Each blob is authenticated and hashed on the way, without `--verify`."""
        return self._run(
            place, "restore", "latest", "--path", str(source), "--tag", label, "--target", str(out)
        )

    def loaded(self, source: Path, out: Path) -> Path:
        """See `FileTool`."""
        return out / source.relative_to(source.anchor)

    def _run(self, place: Place, *arguments: str) -> Measured:
        return run(["restic", "-q", "-r", str(place.repository), *arguments], env=place.environment())


@dataclass(frozen=True, slots=True)
class Borg:
    """borg with its fastest compression that is worth it (`zstd,1`) and no encryption."""

    name: str = "borg"

    def version(self) -> str:
        """See `FileTool`."""
        return printed(["borg", "--version"])

    def prepare(self, place: Place) -> None:
        """See `FileTool`."""
        run(["borg", "init", "-e", "none", str(place.repository)], env=place.environment())

    def save(self, place: Place, source: Path, label: str) -> Measured:
        """See `FileTool`."""
        argv = ["borg", "create", "-C", "zstd,1", f"{place.repository}::{label}", "."]
        return run(argv, env=place.environment(), cwd=source)

    def load(self, place: Place, source: Path, label: str, out: Path) -> Measured:
        """See `FileTool`. Each chunk's checksum and id are checked on the way."""
        del source
        out.mkdir(parents=True, exist_ok=True)
        return run(["borg", "extract", f"{place.repository}::{label}"], env=place.environment(), cwd=out)

    def loaded(self, source: Path, out: Path) -> Path:
        """See `FileTool`."""
        del source
        return out


@dataclass(frozen=True, slots=True)
class Mindtrace:
    """mindtrace-registry, in an environment of its own, because it needs Python 3.12."""

    python: Path
    name: str = "mindtrace"

    def version(self) -> str:
        """See `DictTool`."""
        code = "import importlib.metadata as m; print(m.version('mindtrace-registry'))"
        return f"mindtrace-registry {printed([str(self.python), '-P', '-c', code])}"

    def save_all(self, place: Place, dicts: Path) -> Measured:
        """See `DictTool`."""
        return job(place, str(self.python), "mindtrace_job.py", "save", str(dicts))

    def load_all(self, place: Place, dicts: Path) -> Measured:
        """See `DictTool`."""
        return job(place, str(self.python), "mindtrace_job.py", "load", str(dicts))


@dataclass(frozen=True, slots=True)
class BareFiles:
    """No tool at all: for each dict, open a new file, write its JSON, fsync, close. The floor of any save."""

    name: str = "bare files"

    def version(self) -> str:
        """See `DictTool`."""
        return f"Python {sys.version.split()[0]}"

    def save_all(self, place: Place, dicts: Path) -> Measured:
        """See `DictTool`."""
        return job(place, sys.executable, "bare_job.py", "save", str(dicts))

    def load_all(self, place: Place, dicts: Path) -> Measured:
        """See `DictTool`."""
        return job(place, sys.executable, "bare_job.py", "load", str(dicts))


def file_tools(wanted: frozenset[str]) -> list[FileTool]:
    """casreg, and those of the wanted peers that are installed here, in the order in which they take turns."""
    found: list[FileTool] = [Casreg()]
    peers: tuple[FileTool, ...] = (Restic(), Borg())
    return found + [peer for peer in peers if peer.name in wanted and shutil.which(peer.name)]


def dict_tools(wanted: frozenset[str]) -> list[DictTool]:
    """casreg, bare writes, and mindtrace if it is wanted and `--install-peers` has installed it."""
    python = mindtrace_python()
    found: list[DictTool] = [Casreg(), BareFiles()]
    return [*found, Mindtrace(python)] if "mindtrace" in wanted and python.exists() else found


def mindtrace_python() -> Path:
    """The Python that has mindtrace-registry, once it is installed."""
    return ENVIRONMENTS / "mindtrace" / "bin" / "python"


def install_peers(python312: str | None) -> None:
    """Makes the environment of mindtrace-registry, from PyPI. Prints how to get the others.

    Raises:
        BenchError: There is no Python 3.12 that runs, or the installation failed.
    """
    python = _find_python312(python312)
    folder = ENVIRONMENTS / "mindtrace"
    run([python, "-m", "venv", "--clear", str(folder)])
    run([str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "mindtrace-registry"])
    print(f"{Mindtrace(folder / 'bin' / 'python').version()} is in {folder}")
    for tool, package in (("restic", "restic"), ("borg", "borgbackup")):
        print(f"{tool} is {'here' if shutil.which(tool) else f'missing: apt-get install {package}'}")


def _find_python312(given: str | None) -> str:
    # A `python3.12` on the path may be a stub that only says how to install it: ask it.
    for candidate in [given] if given else [sys.executable, "python3.12"]:
        try:
            said = printed([candidate, "-c", "import sys; print(sys.version_info[:2])"])
        except BenchError:
            continue
        if said == "(3, 12)":
            return candidate
    raise BenchError(
        f"mindtrace-registry needs Python 3.12, and {given or 'python3.12'} is none that runs; "
        "name one with --python312 PATH, or leave this peer out"
    )


def _only_file(source: Path) -> Path:
    """The one file of a folder that has nothing else, or else the folder."""
    names = list(source.iterdir())
    return names[0] if len(names) == 1 and names[0].is_file() else source


def printed(argv: list[str]) -> str:
    """What a short command prints.

    Raises:
        BenchError: It fails.
    """
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as problem:
        raise BenchError(f"cannot ask {argv[0]} for its version: {problem}") from problem
    return done.stdout.strip()
