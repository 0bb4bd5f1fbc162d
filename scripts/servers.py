"""Start and stop SeaweedFS and fake-gcs-server, which go on running between the two. See `casreg.testing.servers`."""

from __future__ import annotations

import argparse
import getpass
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import psutil

from casreg.testing import servers

NOTES = Path(tempfile.gettempdir()) / f"casreg-servers-{getpass.getuser()}.json"
"""Which servers run: for each its endpoint, its folder, its process and when that began."""


def main() -> int:
    """Do what the command line says; the exit status."""
    parser = argparse.ArgumentParser(description="Real servers to try casreg's clouds on.")
    parser.add_argument("what", choices=["up", "down"])
    if parser.parse_args().what == "down":
        down()
        return 0
    notes = running()
    if not notes:
        down()  # what is left of servers that have died
        notes = up()
    show(notes)
    return 0


def up() -> dict[str, dict[str, Any]]:
    """Start both, or none."""
    started: dict[str, servers.Server] = {}
    try:
        for name, make in (("s3", servers.seaweedfs), ("gcs", servers.fake_gcs)):
            started[name] = make()
            started[name].start()
        notes = {name: note_of(server) for name, server in started.items()}
        NOTES.write_text(json.dumps(notes), encoding="utf-8")
    except BaseException:
        for server in started.values():
            server.stop()
        raise
    return notes


def down() -> None:
    """Stop what was started: by process id, and only if that is still the process that was noted."""
    for note in read_notes().values():
        process = process_of(note)
        if process is not None:
            process.kill()
            process.wait()
        for path in note["sockets"]:
            Path(path).unlink(missing_ok=True)
        shutil.rmtree(note["folder"], ignore_errors=True)
    NOTES.unlink(missing_ok=True)


def note_of(server: servers.Server) -> dict[str, Any]:
    """What is needed to find the server again."""
    assert server.pid is not None
    return {
        "endpoint": server.endpoint,
        "folder": str(server.folder),
        "sockets": list(server.plan.sockets),
        "pid": server.pid,
        "began": psutil.Process(server.pid).create_time(),
    }


def read_notes() -> dict[str, dict[str, Any]]:
    """What was noted; nothing if nothing was started."""
    return json.loads(NOTES.read_text(encoding="utf-8")) if NOTES.exists() else {}


def running() -> dict[str, dict[str, Any]]:
    """The notes if all of their processes run, else nothing."""
    notes = read_notes()
    return notes if all(process_of(note) for note in notes.values()) else {}


def process_of(note: dict[str, Any]) -> psutil.Process | None:
    """The process of a note, if it is still that one."""
    try:
        process = psutil.Process(note["pid"])
        return process if process.create_time() == note["began"] else None
    except psutil.NoSuchProcess:
        return None


def show(notes: dict[str, dict[str, Any]]) -> None:
    """What to export, for a shell to evaluate; what to do with it, as comments."""
    print(f"export AWS_ACCESS_KEY_ID={servers.ACCESS_KEY} AWS_SECRET_ACCESS_KEY={servers.SECRET_KEY}")
    print(f"export STORAGE_EMULATOR_HOST=http://{notes['gcs']['endpoint']}")
    print(f"# Registry('s3://try/registry?endpoint=http://{notes['s3']['endpoint']}')")
    print(f"# Registry('gs://try/registry?endpoint=http://{notes['gcs']['endpoint']}')")


if __name__ == "__main__":
    sys.exit(main())
