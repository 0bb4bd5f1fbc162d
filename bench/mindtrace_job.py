"""One process that saves or loads many small dicts with mindtrace: `mindtrace_job.py FOLDER save|load DICTS`."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path


def main() -> None:
    # Not a dependency: it is installed only in the environment that runs this.
    from mindtrace.registry import Registry  # type: ignore[import-not-found]

    folder, verb, dicts = Path(sys.argv[1]), sys.argv[2], json.loads(Path(sys.argv[3]).read_text("utf-8"))
    began = time.perf_counter()
    registry = Registry(folder)
    for number, one in enumerate(dicts):
        if verb == "save":
            registry.save(f"bench:dict-{number}", one)
        elif registry.load(f"bench:dict-{number}") != one:
            raise SystemExit(f"bench:dict-{number} is not what was saved")
    print(json.dumps({"inside": time.perf_counter() - began}))


if __name__ == "__main__":
    main()
