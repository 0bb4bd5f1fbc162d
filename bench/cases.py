"""The cases: what is done, in which order, and by whom. Each yields samples; none judges them."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import json
import os
import secrets
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench import data
from bench.clouds import clouds, clouds_gcs
from bench.measure import BenchError, Measured, read_through, settle, stored_bytes
from bench.peers import Place, answer, dict_tools, file_tools, job
from bench.results import EMPTY, NINE, Sample
from bench.setting import Bench, numbers, require_same

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench.peers import FileTool


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that every tool does in turn."""

    name: str
    act: Callable[[FileTool, Place], Measured]
    before: Callable[[], None]
    """Done once, before the first tool's turn."""
    after: Callable[[FileTool, Place], None]
    """Done after each tool's turn, not timed."""


def interleaved(bench: Bench, case: str, tools: list[FileTool], steps: list[Step]) -> Iterator[Sample]:
    """Every round begins with empty repositories; within it, each step goes round all tools before the next step."""
    for number in range(bench.rounds):
        bench.say(
            f"case {case}: round {number + 1} of {bench.rounds}, {', '.join(tool.name for tool in tools)}"
        )
        places = [(tool, bench.place(case, tool.name)) for tool in tools]
        stored = {}
        for tool, place in places:
            tool.prepare(place)
            stored[tool.name] = stored_bytes(place.repository)
        for step in steps:
            step.before()
            for tool, place in places:
                settle(bench.sizes.touched)
                found = numbers(step.act(tool, place))
                total = stored_bytes(place.repository)
                found |= {"stored": float(total), "added": float(total - stored[tool.name])}
                stored[tool.name] = total
                step.after(tool, place)
                yield Sample(case, step.name, tool.name, number, found)
        shutil.rmtree(bench.work / "places" / case)


def _saving(name: str, source: Path, label: str, before: Callable[[], None]) -> Step:
    return Step(name, lambda tool, place: tool.save(place, source, label), before, lambda _tool, _place: None)


def _loading(source: Path, label: str) -> Step:
    def compare(tool: FileTool, place: Place) -> None:
        require_same(source, tool.loaded(source, place.root / "out"), tool.name)
        shutil.rmtree(place.root / "out")

    return Step(
        "load",
        lambda tool, place: tool.load(place, source, label, place.root / "out"),
        lambda: None,
        compare,
    )


def model(bench: Bench) -> Iterator[Sample]:
    """Workload A: one large file; saved, saved again, 1 % changed, 1 MB inserted, loaded."""
    folder = bench.data("model", bench.sizes.model)

    def touched(version: str) -> Callable[[], None]:
        # All three tools skip a file whose size and times are as they were. A new time makes each of them read it
        # again, so that the re-save shows what the reading costs; workload B shows the skipping.
        def touch() -> None:
            os.utime(folder / version / "data.bin")
            read_through(folder / version)

        return touch

    steps = [
        _saving("save", folder / "v1", "v1", touched("v1")),
        _saving("re-save", folder / "v1", "again", touched("v1")),
        _saving("save v2", folder / "v2", "v2", touched("v2")),
        _saving("save v3", folder / "v3", "v3", touched("v3")),
        _loading(folder / "v1", "v1"),
    ]
    yield from interleaved(bench, "a", file_tools(bench.peers), steps)


def tree(bench: Bench) -> Iterator[Sample]:
    """Workload B: many small files; saved, saved again, restored, a few changed and saved."""
    folder = bench.data("tree", bench.sizes.tree)
    source = folder / "tree"
    changes = data.changed_files(bench.sizes.tree)

    def fresh() -> None:
        # The round before, or a run that was interrupted, has left the changed files.
        for path, _ in changes:
            shutil.copyfile(folder / "original" / path, source / path)
        read_through(source)

    def change() -> None:
        for path, content in changes:
            (source / path).write_bytes(content)

    steps = [
        _saving("save", source, "v1", fresh),
        _saving("re-save", source, "again", lambda: None),
        _loading(source, "v1"),
        _saving("save changed", source, "v2", change),
    ]
    yield from interleaved(bench, "b", file_tools(bench.peers), steps)


def dicts(bench: Bench) -> Iterator[Sample]:
    """Many small dicts, each saved under a name of its own in one process, and loaded in another."""
    values = bench.work / "data" / f"dicts-{bench.sizes.dicts}.json"
    values.parent.mkdir(parents=True, exist_ok=True)
    values.write_text(json.dumps(data.small_dicts(bench.sizes.dicts)), "utf-8")
    tools = dict_tools(bench.peers)
    for number in range(bench.rounds):
        bench.say(
            f"case dicts: round {number + 1} of {bench.rounds}, {', '.join(tool.name for tool in tools)}"
        )
        places = [(tool, bench.place("dicts", tool.name)) for tool in tools]
        for tool, place in places:
            settle(0)
            found = numbers(tool.save_all(place, values))
            total = float(stored_bytes(place.repository))
            yield Sample("dicts", "save", tool.name, number, found | {"stored": total, "added": total})
        for tool, place in places:
            settle(0)
            yield Sample("dicts", "load", tool.name, number, numbers(tool.load_all(place, values)))


def versions(bench: Bench) -> Iterator[Sample]:
    """A name with very many versions beside names with nine: what the next save costs."""
    place = bench.place("versions")
    count, each = bench.sizes.versions, bench.sizes.processes
    bench.say(f"case versions: {count} versions of one name")
    built = job(place, sys.executable, "casreg_job.py", "many-versions", str(count), str(each))
    total = float(stored_bytes(place.repository))
    found = numbers(built) | {"stored": total, "added": total}
    yield Sample("versions", f"{count} saves", "casreg", 0, found)
    for subject, row in (("casreg", "late"), (NINE[0], "early")):
        for number, seconds in enumerate(answer(built)[row]):
            yield Sample("versions", "in one process", subject, number, {"inside": seconds})
    for number in range(each):
        for subject, name in (("casreg", "bench:many"), (NINE[0], f"bench:few-{each + number}")):
            settle(0)
            measured = job(place, sys.executable, "casreg_job.py", "probe", "save-version", name)
            yield Sample("versions", "fresh processes", subject, number, numbers(measured))


def growth(bench: Bench) -> Iterator[Sample]:
    """A repository of very many chunks and names beside a nearly empty one: what small operations cost."""
    large, small = large_repository(bench), bench.place("growth", "empty")
    # One save makes the repository: making it is not what is compared.
    job(small, sys.executable, "casreg_job.py", "probe", "save-dict", "first")
    steps = {
        "save a dict": "save-dict",
        "load a dict": "load-dict",
        "save 1 MiB": "save-array",
        "list names": "list",
    }
    run_id = secrets.token_hex(4)
    bench.say(f"case growth: {bench.sizes.processes} fresh processes for each of {', '.join(steps)}")
    for number in range(bench.sizes.processes):
        for step, verb in steps.items():
            for subject, place in (("casreg", large), (EMPTY[0], small)):
                settle(0)
                measured = job(place, sys.executable, "casreg_job.py", "probe", verb, f"{run_id}-{number}")
                _require_names(verb, measured, bench.sizes.names if place is large else 1)
                yield Sample("growth", step, subject, number, numbers(measured))


def large_repository(bench: Bench) -> Place:
    """The repository with very many chunks; built once for the work folder and each state of casreg's code."""
    chunks, names = bench.sizes.chunks, bench.sizes.names
    place = Place(bench.work / "large" / f"{chunks}-{names}")
    marker = place.root / "ready.json"
    code = _code_of_casreg()
    if marker.exists() and json.loads(marker.read_text("utf-8"))["code"] == code:
        return place
    bench.say(f"building a repository of {chunks} chunks and {names} names")
    shutil.rmtree(place.root, ignore_errors=True)
    built = answer(job(place, sys.executable, "growth_job.py", str(chunks), str(names)))
    if built["chunks"] != chunks:
        raise BenchError(f"the repository should have {chunks} chunks, and got {built['chunks']}")
    bench.say(f"built in {built['total_s']:.0f} s, {stored_bytes(place.repository) / 1e6:.0f} MB")
    marker.write_text(json.dumps(built | {"code": code}), "utf-8")
    return place


def memory(bench: Bench) -> Iterator[Sample]:
    """One file that is larger than the memory a save may take."""
    size = data.ModelSize(bench.sizes.memory_file, regions=0, inserted=0)
    source = bench.data("model", size) / "v1"
    steps = [_saving("save", source, "v1", lambda: None), _loading(source, "v1")]
    once = dataclasses.replace(bench, rounds=1)
    yield from interleaved(once, "memory", file_tools(frozenset()), steps)


CASES: dict[str, Callable[[Bench], Iterator[Sample]]] = {
    "a": model,
    "b": tree,
    "dicts": dicts,
    "versions": versions,
    "growth": growth,
    "memory": memory,
    "clouds": clouds,
    "clouds-gcs": clouds_gcs,
}


def _require_names(verb: str, measured: Measured, least: int) -> None:
    if verb == "list" and answer(measured)["result"] < least:
        raise BenchError(
            f"the listing has {answer(measured)['result']} names, not the {least} that were saved"
        )


def _code_of_casreg() -> str:
    """A digest of casreg's source: a repository made by other code may have another format."""
    spec = importlib.util.find_spec("casreg")
    if spec is None or spec.origin is None:
        raise BenchError(
            "casreg is not installed for this Python; make the environment with scripts/test first"
        )
    total = hashlib.blake2b(digest_size=16)
    for path in sorted(Path(spec.origin).parent.rglob("*.py")):
        total.update(path.read_bytes())
    return total.hexdigest()
