"""One process that does one thing with mindtrace: `mindtrace_job.py PLACE VERB ARGUMENTS…`. Prints one JSON object.

PLACE is a folder, or the address of a bucket: `s3://bucket/prefix?endpoint=http://host:port`, `gs://…`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

NAME = "bench:a"


def save_dicts(registry: Any, dicts: str) -> dict[str, Any]:
    """Saves each dict of a JSON list under a name of its own."""
    for number, one in enumerate(json.loads(Path(dicts).read_text("utf-8"))):
        registry.save(f"bench:dict-{number}", one)
    return {}


def load_dicts(registry: Any, dicts: str) -> dict[str, Any]:
    """Loads each of them, and compares."""
    for number, one in enumerate(json.loads(Path(dicts).read_text("utf-8"))):
        if registry.load(f"bench:dict-{number}") != one:
            raise SystemExit(f"bench:dict-{number} is not what was saved")
    return {}


def save_path(registry: Any, path: str) -> dict[str, Any]:
    """Saves a file or a folder, as the next version of one name."""
    return {"version": registry.save(NAME, Path(path))}


def load_path(registry: Any, version: str, out: str) -> dict[str, Any]:
    """Loads it back; it chooses where, and the file is moved into the empty folder `out`."""
    found = Path(registry.load(NAME, version=version))
    os.makedirs(out)
    found.rename(Path(out, found.name))
    return {}


VERBS: dict[str, Callable[..., dict[str, Any]]] = {
    "save": save_dicts,
    "load": load_dicts,
    "save-path": save_path,
    "load-path": load_path,
}


def backend_at(place: str) -> Any:
    """What mindtrace calls this place."""
    parts = urlsplit(place)
    if not parts.scheme:
        return Path(place)
    endpoint, prefix = parse_qs(parts.query)["endpoint"][0], parts.path.strip("/")
    # Not a dependency: it is installed only in the environment that runs this.
    from mindtrace.registry import (  # type: ignore[import-not-found]
        GCPRegistryBackend,
        MinioRegistryBackend,
    )

    if parts.scheme == "gs":
        os.environ["STORAGE_EMULATOR_HOST"] = endpoint  # the one way to tell its client of a server for tests
        return GCPRegistryBackend(project_id="bench", bucket_name=parts.netloc, prefix=prefix)
    return MinioRegistryBackend(
        endpoint=urlsplit(endpoint).netloc,
        access_key=os.environ["AWS_ACCESS_KEY_ID"],
        secret_key=os.environ["AWS_SECRET_ACCESS_KEY"],
        bucket=parts.netloc,
        secure=False,
        prefix=prefix,
    )


def main() -> None:
    from mindtrace.registry import Registry

    place, verb, *arguments = sys.argv[1:]
    began = time.perf_counter()
    # In a folder as a user would begin; elsewhere with versions, for the sake of what is compared there.
    registry = Registry(backend_at(place), **({"version_objects": True} if "://" in place else {}))
    result = VERBS[verb](registry, *arguments)
    print(json.dumps({"inside": time.perf_counter() - began, **result}))


if __name__ == "__main__":
    main()
