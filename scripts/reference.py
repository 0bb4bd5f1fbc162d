"""Write docs/reference.md from the signatures and docstrings of the package. Reads the sources, imports nothing."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import griffe

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference.md"

# What a reader looks for, in the order of the page.
SECTIONS = {
    "Registry": ["registry.registry.Registry"],
    "Batches, differences, figures": [
        "registry.batch.BatchResult",
        "registry.batch.BatchItem",
        "difference.Difference",
        "stats.Stats",
        "stats.NameStats",
        "stats.UnfinishedUpload",
        "gc.collecting.Collection",
        "gc.compaction.Compaction",
        "gc.pruning.Pruned",
        "sync.report.Synced",
        "sync.report.Unsynced",
        "adopt.report.Adoption",
    ],
    "Store": ["store.store.Store", "store.mounts.Mount"],
    "Cache": ["cache.cache.Cache"],
    "Other registries": ["mindtrace.import_mindtrace"],
    "Writing a materializer": [
        "materializers.base.Materializer",
        "materializers.base.OutFolder",
        "materializers.base.InFolder",
    ],
    "Backends": [
        "backends.local.backend.LocalBackend",
        "backends.memory.MemoryBackend",
        "backends.s3.backend.S3Backend",
        "backends.base.Backend",
        "backends.base.Object",
        "backends.base.ObjectInfo",
        "backends.base.Traits",
    ],
    "Progress": ["progress.Progress"],
}

HEAD = """# Reference

Generated from the docstrings by `scripts/reference`: do not edit. Errors have [a page of their own](errors.md); how
things fit together is in [concepts.md](concepts.md).
"""


def page() -> str:
    """The whole page."""
    package = griffe.load(
        "casreg", search_paths=[str(ROOT)], docstring_parser="google", allow_inspection=False
    )
    lines = [HEAD]
    for title, names in SECTIONS.items():
        lines.append(f"## {title}\n")
        for name in names:
            lines.extend(described(package[name], "###"))
    return "\n".join(lines).rstrip() + "\n"


def described(found: Any, heading: str) -> Iterator[str]:
    """The lines about a class or a function."""
    if found.is_alias:
        found = found.final_target
    if found.is_function:
        yield f"{heading} `{found.name}`\n"
        yield from called(found)
        return
    public = found.path.replace("backends.local.backend.LocalBackend", "LocalRegistryBackend")
    yield f"{heading} `{public.rpartition('.')[2]}`\n"
    yield from documented(found)
    made = found.members.get("__init__")
    if made is not None and made.docstring is not None:
        yield from called(made, found.name)
    for member in found.members.values():
        if member.is_alias or member.name.startswith("_") or member.docstring is None:
            continue
        if member.is_function:
            yield f"{heading}# `{member.name}`\n"
            yield from called(member)
        elif "property" in member.labels:
            yield f"{heading}# `{member.name}`\n"
            yield from documented(member)


def called(function: Any, name: str | None = None) -> Iterator[str]:
    """Signatures, then the docstring."""
    yield "```python"
    for one in function.overloads or [function]:
        yield signature(one, name or function.name)
    yield "```\n"
    yield from documented(function)


def signature(function: Any, name: str) -> str:
    """How it is called, on lines of at most 110 characters."""
    parts, starred, positional = [], False, False
    for one in function.parameters:
        if one.name in {"self", "cls"}:
            continue
        kind = one.kind.value
        if kind == "keyword-only" and not starred:
            parts.append("*")
            starred = True
        if positional and kind != "positional-only":
            parts.append("/")
            positional = False
        positional = positional or kind == "positional-only"
        starred = starred or kind == "variadic positional"
        stars = {"variadic positional": "*", "variadic keyword": "**"}.get(kind, "")
        text = stars + one.name + (f": {one.annotation}" if one.annotation is not None else "")
        if one.default is not None and not stars:
            text += f" = {one.default}" if one.annotation is not None else f"={one.default}"
        parts.append(text)
    if positional:
        parts.append("/")
    ends = f") -> {function.returns}" if function.returns is not None and function.name != "__init__" else ")"
    short = f"{name}({', '.join(parts)}{ends}"
    return short if len(short) <= 110 else f"{name}(\n" + "".join(f"    {part},\n" for part in parts) + ends


def documented(found: Any) -> Iterator[str]:
    """A docstring, its sections as lists."""
    if found.docstring is None:
        return
    for section in found.docstring.parsed:
        value: Any = section.value
        kind = section.kind.value
        if kind == "text":
            yield f"{value}\n"
        elif kind in {"parameters", "attributes", "other parameters"}:
            yield f"*{'Arguments' if kind == 'parameters' else 'Attributes'}*\n"
            yield from (f"- `{one.name}`: {joined(one.description)}" for one in value)
            yield ""
        elif kind == "returns":
            yield f"*Returns:* {joined(' '.join(one.description for one in value))}\n"
        elif kind == "raises":
            yield "*Raises*\n"
            yield from (f"- `{str(one.annotation).strip('()')}`: {joined(one.description)}" for one in value)
            yield ""
        elif kind == "yields":
            yield f"*Yields:* {joined(' '.join(one.description for one in value))}\n"
        elif kind == "admonition":
            yield f"**{value.title or value.kind}**: {joined(value.description)}\n"
        else:
            raise SystemExit(
                f"{found.path}: its docstring has a section {kind!r}, which this page cannot show"
            )


def joined(text: str) -> str:
    """A description on one line."""
    return re.sub(r"\s+", " ", text).strip()


def main() -> int:
    """Write the page, or say whether it is up to date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the page is out of date")
    text = page()
    if not parser.parse_args().check:
        PAGE.write_text(text, encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
        sys.stderr.write("docs/reference.md is out of date: run scripts/reference\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
