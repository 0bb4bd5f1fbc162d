"""Each example that a `--help` shows works, as it stands there."""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path
from typing import Final

import pytest

from casreg import Registry
from casreg.cli.main import SECTIONS
from casreg.cli.options import Command
from cli.lab import ok, run

BEFORE: Final = {
    "load": ["rm -r ./data ./weights"],
    "undelete": ["rm my:data@1.0.0"],
    "unprotect": ["protect my:model@1.2.0"],
    "rename": ["rm my:model"],
    "export": ["rm -r all.casreg models.casreg"],
}
"""What has to be so before the examples of a command make sense."""

WITHOUT_QUESTION: Final = {"rm", "prune", "gc", "adopt"}
"""Commands that ask, where an example does not say `--yes`."""

EXAMPLES: Final = [
    (str(command.name), example)
    for commands in SECTIONS.values()
    for command in commands
    if isinstance(command, Command)
    for example in command.examples
]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything that the examples name, to be copied."""
    folder = tmp_path_factory.mktemp("world")
    (folder / "data" / "pages").mkdir(parents=True)
    (folder / "data" / "pages" / "index.html").write_text("<p>")
    (folder / "weights.bin").write_bytes(b"1" * 1000)
    for place in (
        "default",
        "team",
        "models",
        "restored",
        "s3/models",
        "s3/copy",
        "s3/restored",
        "gs/models",
    ):
        registry = Registry(folder / place)
        registry.save("my:data", folder / "data", version="1.0.0")
        registry.save("my:data", folder / "weights.bin", version="1.1.0", tags=["prod"])
        registry.save("my:data", folder / "data", version="2.0.0", metadata={"data": {"split": "test"}})
        registry.save("my:model", folder / "weights.bin", version="1.2.0", tags=["prod"])
        registry.save("my:weights", folder / "weights.bin", tags=["prod"])
        registry.save("my:site", folder / "data")
        registry.save("my:settings", {"rate": 0.1})
        registry.save("my:draft", 1)
        registry.save("my:other", 2)
        registry.save("model:x", 3, metadata={"accuracy": 0.95, "data": {"split": "test"}})
    for bundle in ("all", "models", "backup"):
        Registry(folder / "default").export(folder / f"{bundle}.casreg")
    return folder


def words(example: str) -> list[str]:
    """What an example says to casreg, without what the shell does before and after; places are folders here."""
    if example.startswith("eval"):
        example = example.partition("$(")[2].partition(")")[0]
    lexer = shlex.shlex(example, posix=True, punctuation_chars=True)
    lexer.wordchars += "@:*?=./~%"
    found = list(lexer)
    found = found[found.index("casreg") + 1 :]
    for shell in ("|", "||", ">"):
        if shell in found:
            found = found[: found.index(shell)]
    return [
        word.replace("s3://bucket", "./s3").replace("gs://bucket", "./gs").replace("/mnt", ".")
        for word in found
    ]


@pytest.mark.parametrize(("command", "example"), EXAMPLES, ids=[example for _, example in EXAMPLES])
def test_the_example_works(
    command: str, example: str, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a team and buckets that hold the same names, the exit code is 0."""
    here = tmp_path / "here"
    unnamed = [one for one in ("team", "models", "restored", "s3", "gs") if one not in example]
    # Links, since nothing is ever written in place.
    shutil.copytree(world, here, copy_function=os.link, ignore=lambda *_: unnamed)
    monkeypatch.chdir(here)
    monkeypatch.setenv("CASREG_REGISTRY_DIR", str(here / "default"))
    monkeypatch.setenv("CASREG_MOUNTS", f"team={here / 'team'}")
    for place in ("", *(["team"] if "team" in example else [])):
        for before in BEFORE.get(command, []):
            if before.startswith("rm -r "):
                for name in before.split()[2:]:
                    path = Path(name)
                    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
            else:
                ok(
                    *before.split(),
                    "--yes" if before.startswith("rm") else "-q",
                    *(["-r", place] if place else []),
                )
    said = words(example)
    asked = (
        command in WITHOUT_QUESTION and said[0] == command and not {"--yes", "-y", "--dry-run"} & set(said)
    )

    done = run(*said, *(["--yes"] if asked else []), given=b"what comes in")

    assert done.code == 0, done
