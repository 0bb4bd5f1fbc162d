"""What every materializer promises, as tests: subclass `MaterializerContract`, and pytest runs them.

class TestMyMaterializer(MaterializerContract):
    materializer = MyMaterializer

    def examples(self) -> list[object]:
        return [MyThing(1), MyThing(2)]
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

import pytest

from casreg.exceptions import CasregError
from casreg.materializers.builtin import BUILTIN
from casreg.materializers.calls import load_object, materialize
from casreg.materializers.classes import ClassTable
from casreg.materializers.table import MaterializerTable, materializer_from
from casreg.testing.materializer_folders import MemoryInFolder, stored

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from casreg.materializers.base import JSON, Materializer
    from casreg.materializers.table import MaterializerLike

HEAVY: Final = (
    "google",
    "joblib",
    "minio",
    "numpy",
    "pandas",
    "PIL",
    "polars",
    "pyarrow",
    "pydantic",
    "safetensors",
    "scipy",
    "sklearn",
    "torch",
)

_CHILD: Final = """
import importlib.util, json, sys
spec = importlib.util.spec_from_file_location("contract_of_child", sys.argv[1])
module = importlib.util.module_from_spec(spec)
sys.modules["contract_of_child"] = module
spec.loader.exec_module(module)
contract = getattr(module, sys.argv[2])()
print(json.dumps(contract.answer(sys.stdin.read())))
"""


class MaterializerContract:
    """Tests of one materializer. A subclass gives `materializer` and `examples`, and what else differs.

    Attributes:
        materializer: The one under test: instance, class or dotted name.
        trusted: What the caller trusts.
        allow_pickle: Whether the caller allows pickle.
        stable: The same value gives the same bytes (pickle cannot promise that).
        damages: How many damaged copies of the files are tried for each example.
        own_errors: `load` itself raises nothing but errors of casreg; else the engine has to turn them into such.
    """

    materializer: ClassVar[MaterializerLike]
    trusted: ClassVar[frozenset[str]] = frozenset()
    allow_pickle: ClassVar[bool] = False
    stable: ClassVar[bool] = True
    damages: ClassVar[int] = 60
    own_errors: ClassVar[bool] = False

    def examples(self) -> Iterable[object]:
        """Values to save: the same ones at every call, in every process."""
        raise NotImplementedError

    def equal(self, saved: object, loaded: object) -> bool:
        """Whether a loaded value is what was saved."""
        return type(saved) is type(loaded) and saved == loaded

    def to_save_again(self, saved: object, loaded: object) -> object:
        """What has to give the same bytes as `saved`: the loaded value, where that is of the class that is saved."""
        del saved
        return loaded

    def classes(self) -> ClassTable:
        """The classes that are registered, here and in the process that loads."""
        return ClassTable()

    def table(self) -> MaterializerTable:
        """The materializers for parts of the values, here and in the process that loads."""
        return MaterializerTable(BUILTIN)

    def into(self, folder: Path) -> Path | None:
        """Where loaded paths go; None for values that are no paths."""
        del folder
        return None

    def test_what_is_saved_is_loaded(self, tmp_path: Path) -> None:
        """An equal value of the same type comes back."""
        for at, (example, folder) in enumerate(self._saved()):
            loaded = self._load(folder, into=self.into(tmp_path / str(at)))
            assert self.equal(example, loaded), f"{example!r:.200} came back as {loaded!r:.200}"

    def test_a_new_process_loads_it(self) -> None:
        """A process that has only the same arguments and registrations gets the same value."""
        assert _answer_of_loader(type(self))["right"] == [True] * len(list(self.examples()))

    def test_same_value_same_bytes(self) -> None:
        """Saving twice, and saving in processes with other hash seeds, gives the same files and parameters."""
        if not self.stable:
            pytest.skip("this materializer cannot promise the same bytes")
        first = self.digests()
        assert self.digests() == first
        assert _answer_of_loader(type(self))["digests"] == first
        assert self._ask([], hash_seed=2)["digests"] == first

    def test_a_loaded_value_gives_the_same_bytes(self, tmp_path: Path) -> None:
        """What was loaded is saved again as the same files and parameters: versions of it are stored once."""
        if not self.stable:
            pytest.skip("this materializer cannot promise the same bytes")
        for at, (example, folder) in enumerate(self._saved()):
            loaded = self._load(folder, into=self.into(tmp_path / str(at)))
            again = self._save(self.to_save_again(example, loaded))
            assert (again.params, again.files) == (folder.params, folder.files), f"{example!r:.200}"

    def test_parameters_that_were_not_declared_are_refused(self) -> None:
        """A stored parameter that the materializer does not know is an error, whatever it would mean."""
        for _, folder in self._saved():
            for name in ("allow_pickle", "trusted", "no such parameter"):
                folder.params = {**folder.params, name: True}
                with pytest.raises(CasregError):
                    load_object(self._made(), folder)

    def test_importing_it_imports_nothing_heavy(self) -> None:
        """Its module is imported without the libraries that it works for."""
        module = type(self._made()).__module__
        assert _heavy_imports_of(module) == "[]"

    def test_it_writes_only_into_its_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Neither saving nor loading leaves anything in the current folder."""
        here = tmp_path / "here"
        here.mkdir()
        monkeypatch.chdir(here)
        for at, (_, folder) in enumerate(self._saved()):
            self._load(folder, into=self.into(tmp_path / str(at)))
        assert list(here.iterdir()) == []

    def test_damaged_files_give_errors_of_casreg(self, tmp_path: Path) -> None:
        """Whatever stands in the files, loading gives a value or an error of casreg's tree, and never a crash."""
        for at, (_, folder) in enumerate(self._saved()):
            for nth, files in enumerate(damaged(folder.files, self.damages, seed=at)):
                copy = self._folder(files, folder, into=self.into(tmp_path / f"{at}-{nth}"))
                try:
                    self._made().load(copy, None) if self.own_errors else load_object(self._made(), copy)
                except CasregError:
                    continue

    def digests(self) -> list[list[str]]:
        """What the files and parameters of each example are, for comparison."""
        found = []
        for _, folder in self._saved():
            parts = [
                f"{path}:{hashlib.sha256(data).hexdigest()}" for path, data in sorted(folder.files.items())
            ]
            found.append([*parts, json.dumps(folder.params, sort_keys=True)])
        return found

    def answer(self, question: str) -> dict[str, Any]:
        """What a child process finds: whether what its parent saved loads right, and its own digests."""
        given: list[dict[str, Any]] = json.loads(question)
        # Loaded before anything is saved here: saving might import or register what loading needs.
        loaded = [self._load_given(one) for one in given]
        digests = self.digests()
        # Only now are the values used, which may change them.
        pairs = zip(self.examples() if given else (), loaded, strict=True)
        return {"digests": digests, "right": [self.equal(*pair) for pair in pairs]}

    def _load_given(self, one: dict[str, Any]) -> object:
        folder = MemoryInFolder(
            {path: bytes.fromhex(data) for path, data in one["files"].items()},
            one["params"],
            executable=one["executable"],
            empty_folders=one["empty"],
            allow_pickle=self.allow_pickle,
            trusted=self.trusted,
            classes=self.classes(),
            table=self.table(),
            into=None if one["into"] is None else Path(one["into"]),
        )
        return load_object(self._made(), folder)

    def _to_load(self, folder: Path) -> list[dict[str, Any]]:
        """What a child needs to load each example."""
        return [
            {
                "files": {path: data.hex() for path, data in saved.files.items()},
                "params": saved.params,
                "executable": sorted(saved.executable),
                "empty": saved.empty_folders,
                "into": None if (into := self.into(folder / str(at))) is None else str(into),
            }
            for at, (_, saved) in enumerate(self._saved())
        ]

    def _made(self) -> Materializer:
        return materializer_from(self.materializer)

    def _saved(self) -> list[tuple[object, MemoryInFolder]]:
        return [(example, self._save(example)) for example in self.examples()]

    def _save(self, value: object) -> MemoryInFolder:
        with materialize(
            value,
            self.table(),
            self.classes(),
            materializer=self._made(),
            trusted=self.trusted,
            allow_pickle=self.allow_pickle,
        ) as done:
            return stored(done.folder)

    def _load(self, folder: MemoryInFolder, into: Path | None) -> object:
        folder.into = into
        return load_object(self._made(), folder)

    def _folder(self, files: dict[str, bytes], like: MemoryInFolder, into: Path | None) -> MemoryInFolder:
        return MemoryInFolder(
            files,
            like.params,
            allow_pickle=self.allow_pickle,
            trusted=self.trusted,
            classes=like.classes,
            table=like.table,
            into=into,
        )

    def _ask(self, to_load: list[dict[str, Any]], hash_seed: int) -> dict[str, Any]:
        """Let a new process with another hash seed answer."""
        said = _new_process(
            _CHILD,
            inspect.getfile(type(self)),
            type(self).__name__,
            given=json.dumps(to_load),
            PYTHONHASHSEED=str(hash_seed),
        )
        answer: dict[str, Any] = json.loads(said)
        return answer


_answers: dict[type[MaterializerContract], dict[str, Any]] = {}


def _answer_of_loader(contract: type[MaterializerContract]) -> dict[str, Any]:
    """What one child finds that loads, then saves: two promises need it, and its imports may take seconds."""
    if contract not in _answers:
        asking = contract()
        with tempfile.TemporaryDirectory() as folder:
            _answers[contract] = asking._ask(asking._to_load(Path(folder)), hash_seed=1)  # noqa: SLF001 - of this module
    return _answers[contract]


@functools.cache
def _heavy_imports_of(module: str) -> str:
    code = f"import sys, {module}; print([name for name in {HEAVY} if name in sys.modules])"
    return _new_process(code).strip()


def _new_process(code: str, *arguments: str, given: str = "", **environment: str) -> str:
    """What a new interpreter prints that runs `code`."""
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", code, *arguments],
        input=given,
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, **environment, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def damaged(files: dict[str, bytes], times: int, seed: int) -> Iterator[dict[str, bytes]]:
    """Copies of `files` with something wrong in each: bytes lost, changed or added, files gone, JSON turned around."""
    rng = random.Random(seed)
    for _ in range(times if files else 0):
        copy = dict(files)
        path = rng.choice(sorted(copy))
        data = copy[path]
        kind = rng.randrange(6)
        if kind == 0:
            del copy[path]
        elif kind == 1:
            copy[path] = data[: rng.randrange(len(data) + 1)]
        elif kind == 2:
            copy[path] = data + rng.randbytes(rng.randrange(1, 9))
        elif kind == 3 or not path.endswith(".json"):
            copy[path] = _flipped(data, rng)
        else:
            copy[path] = json.dumps(_turned(json.loads(data), rng)).encode()
        yield copy


def _flipped(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    # Headers are at the front: half of the damage goes there.
    reach = min(len(changed), 128) if rng.random() < 0.5 else len(changed)
    for _ in range(rng.randrange(1, 4) if changed else 0):
        changed[rng.randrange(reach)] ^= 1 << rng.randrange(8)
    return bytes(changed)


_ODD: Final[tuple[Any, ...]] = (
    None,
    True,
    -1,
    0,
    3,
    1 << 40,
    1e300,
    "",
    "x",
    [],
    {},
    [0],
    {"$tuple": [1]},
    {"$same": 0},
)


def _turned(node: JSON, rng: random.Random) -> JSON:
    """A copy of a JSON value with one node, chosen at random, replaced, removed or doubled."""
    if isinstance(node, dict) and node and rng.random() < 0.9:
        key = rng.choice(list(node))
        kind = rng.random()
        if kind < 0.1:
            return {other: item for other, item in node.items() if other != key}
        if kind < 0.2:
            return {(f"${other}" if other == key else other): item for other, item in node.items()}
        return {**node, key: _turned(node[key], rng)}
    if isinstance(node, list) and node and rng.random() < 0.9:
        at = rng.randrange(len(node))
        kind = rng.random()
        if kind < 0.1:
            return node[:at] + node[at + 1 :]
        if kind < 0.2:
            return [*node[: at + 1], *node[at:]]
        return [*node[:at], _turned(node[at], rng), *node[at + 1 :]]
    if isinstance(node, int) and rng.random() < 0.5:
        return node + rng.choice((-1, 1, 2, 1000))
    chosen: JSON = rng.choice(_ODD)
    return chosen


__all__ = ["HEAVY", "MaterializerContract", "damaged"]
