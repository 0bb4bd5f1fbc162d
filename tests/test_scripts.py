from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BASH = shutil.which("bash")

pytestmark = pytest.mark.skipif(BASH is None or sys.platform == "win32", reason="the scripts are for bash")


def run(command: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in `folder` with the functions of scripts/environment.sh at hand."""
    assert BASH is not None
    line = f'source "{ROOT}/scripts/environment.sh"; {command}'
    return subprocess.run(
        [BASH, "-euo", "pipefail", "-c", line],
        cwd=folder,
        env={**os.environ, "CASREG_PYTHON": "", **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def program(path: Path, text: str) -> None:
    """Write an executable bash program."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!{BASH}\n{text}\n")
    path.chmod(0o755)


def test_a_machine_without_python_is_told_what_to_install(tmp_path: Path) -> None:
    """With no Python that is new enough, the message says which version is needed and how to name one."""
    done = run("make_environment dev", tmp_path, PATH=str(tmp_path))
    assert done.returncode != 0
    assert "Python 3.11 or newer is needed" in done.stderr
    assert "CASREG_PYTHON=" in done.stderr


def test_a_shim_that_fails_is_passed_over(tmp_path: Path) -> None:
    """A `python3.11` that exists and does not run, as version managers leave it, does not stop the search."""
    program(tmp_path / "bin" / "python3.11", "exit 127")
    program(tmp_path / "bin" / "python3.12", f'exec "{sys.executable}" "$@"')
    done = run("find_python", tmp_path, PATH=str(tmp_path / "bin"))
    assert done.stdout == "python3.12\n"


def test_an_old_python_is_passed_over(tmp_path: Path) -> None:
    """A `python3` older than 3.11 is as good as none."""
    program(tmp_path / "bin" / "python3", "exit 1")  # what `sys.exit(sys.version_info < (3, 11))` gives there
    done = run("find_python", tmp_path, PATH=str(tmp_path / "bin"))
    assert done.returncode != 0


def test_a_python_without_venv_is_told_what_to_install(tmp_path: Path) -> None:
    """Debian's python3 without python3-venv gets the name of the package, not a traceback."""
    program(
        tmp_path / "bin" / "python3.11",
        f'case "$*" in *ensurepip*) exit 1 ;; esac\nexec "{sys.executable}" "$@"',
    )
    done = run("make_environment dev", tmp_path, PATH=str(tmp_path / "bin"))
    assert done.returncode != 0
    assert "apt install python3-venv" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_the_quickstart_runs_twice_and_stores_the_same_once(tmp_path: Path) -> None:
    """Its program saves, loads in a new process and compares; a second run adds less than 5 % to the disk."""
    sizes = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-W", "error", ROOT / "scripts" / "quickstart.py"],
            env={**os.environ, "CASREG_REGISTRY_DIR": str(tmp_path / "objects"), "PYTHONUTF8": "1"},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("same probabilities for every image") == 2
        sizes.append(sum(path.stat().st_size for path in (tmp_path / "objects").rglob("*") if path.is_file()))
    assert sizes[1] < sizes[0] * 1.05
