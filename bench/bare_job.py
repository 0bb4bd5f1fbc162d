"""One process that writes many small files, each with fsync, or reads them: `bare_job.py FOLDER save|load DICTS`."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path


def main() -> None:
    folder, verb, dicts = Path(sys.argv[1]), sys.argv[2], json.loads(Path(sys.argv[3]).read_text("utf-8"))
    folder.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    for number, one in enumerate(dicts):
        path = str(folder / f"{number}.json")
        if verb == "save":
            with open(path, "xb", buffering=0) as stream:
                stream.write(json.dumps(one).encode())
                os.fsync(stream.fileno())
        else:
            with open(path, "rb", buffering=0) as stream:
                if json.loads(stream.read()) != one:
                    raise SystemExit(f"{path} is not what was saved")
    print(json.dumps({"inside": time.perf_counter() - began}))


if __name__ == "__main__":
    main()
