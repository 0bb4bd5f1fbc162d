"""Save a real dataset and a model trained on it, change a little, save again, load all in a new process.

The data comes with scikit-learn: 1,797 scanned digits of 8 × 8 pixels.  Run it with `scripts/quickstart`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier

from casreg import Registry

FOLDER = Path(os.environ.get("CASREG_REGISTRY_DIR") or Path(__file__).parents[1] / ".quickstart" / "registry")
IMAGES, MODEL = "digits:images", "digits:forest"
ROW = "{:<16} {:<8} {:>11} {:>14} {:>9}   {}"


def main() -> None:
    """Save both objects twice, then let a new process load and check all four versions."""
    print(f"registry: {FOLDER}\n")
    registry = Registry(FOLDER)
    digits = load_digits()
    images, labels = digits.images, digits.target
    forest = RandomForestClassifier(n_estimators=200, random_state=0, warm_start=True).fit(
        digits.data, labels
    )

    print(ROW.format("object", "version", "size", "stored anew", "time", ""))
    expected: dict[str, Any] = {}

    def save(name: str, value: object, answer: np.ndarray[Any, Any], what: str) -> None:
        began = time.perf_counter()
        version = registry.save(name, value)
        seconds = time.perf_counter() - began
        info = registry.info(f"{name}@{version}")
        print(
            ROW.format(
                name, version, shown(info["size"]), shown(info["stored"]), f"{seconds * 1000:.0f} ms", what
            )
        )
        expected[f"{name}@{version}"] = answer

    save(IMAGES, images, images, "all images")
    save(MODEL, forest, forest.predict_proba(digits.data), "200 trees")

    images = images.copy()
    images[1000:1010] = 16 - images[1000:1010]
    save(IMAGES, images, images, "ten images inverted")
    flat = images.reshape(len(images), -1)
    forest.set_params(n_estimators=220).fit(flat, labels)
    save(MODEL, forest, forest.predict_proba(digits.data), "the same 200 trees and 20 more")

    load_in_new_process(expected)

    versions = [
        registry.info(f"{name}@{version}")
        for name in (IMAGES, MODEL)
        for version in registry.list_versions(name)
    ]
    objects = sum(info["size"] for info in versions)
    kept = sum(file.stat().st_size for file in FOLDER.rglob("*") if file.is_file())
    print(f"\n{len(versions)} versions, {shown(objects)} of objects, kept in {shown(kept)} on disk.")
    print("What was there already, from a version before or an earlier run, is stored once.")


def load_in_new_process(expected: dict[str, Any]) -> None:
    """Load every version in an interpreter that knows nothing but the folder, and compare exactly.

    Raises:
        subprocess.CalledProcessError: A version did not load, or is not what was saved.
    """
    with tempfile.TemporaryDirectory() as scratch:
        answers = Path(scratch) / "expected.npz"
        np.savez(answers, **expected)
        sys.stdout.flush()
        subprocess.run([sys.executable, __file__, "check", os.fspath(answers)], check=True)


def check(answers: Path) -> None:
    """Runs in the new process: `answers` has the array that each `name@version` must give."""
    registry = Registry(FOLDER)
    print("\nin a new process:")
    with np.load(answers) as expected:
        for key in expected.files:
            began = time.perf_counter()
            value: Any = registry.load(key)
            seconds = time.perf_counter() - began
            answer = value if isinstance(value, np.ndarray) else value.predict_proba(load_digits().data)
            if not np.array_equal(answer, expected[key]):
                raise SystemExit(f"{key} is not what was saved")
            how = "same array" if answer is value else "same probabilities for every image"
            print(f"  loaded {key:<24} {seconds * 1000:6.0f} ms   {how}")


def shown(size: int) -> str:
    """`size` bytes for people, in decimal units."""
    if size < 1000:
        return f"{size} B"
    return f"{size / 1000:,.1f} kB" if size < 1_000_000 else f"{size / 1_000_000:,.1f} MB"


if __name__ == "__main__":
    if sys.argv[1:2] == ["check"]:
        check(Path(sys.argv[2]))
    else:
        main()
