"""casreg beside restic, borg and mindtrace: builds the data, runs every case, prints medians, ratios and verdicts.

python bench/run.py                            every case at full size; 20 GB of free disk, half an hour
python bench/run.py --quick                    every case, tiny: shows that it runs, not how fast
python bench/run.py --case a --case b          only these
python bench/run.py --work bench/.data         keeps the data and the large repository for the next run
python bench/run.py --install-peers            makes the environment of mindtrace-registry
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

if __package__ in {None, ""}:
    # Started as a program: its own folder would hide other modules, and the package `bench` lies beside it.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from bench import report
from bench.buckets import GOOGLE, S3, cloud_tools
from bench.cases import CASES
from bench.measure import BenchError
from bench.peers import dict_tools, file_tools, install_peers
from bench.results import Results
from bench.setting import FULL, QUICK, Bench

PEERS = ("restic", "borg", "mindtrace")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--case", action="append", choices=sorted(CASES), help="only this case; may be repeated"
    )
    parser.add_argument("--quick", action="store_true", help="tiny sizes, one round, no warm-up")
    parser.add_argument("--rounds", type=int, help="rounds of each case (5; with --quick 1)")
    parser.add_argument(
        "--peers", default=",".join(PEERS), help="compare only with these; 'none' for casreg alone"
    )
    parser.add_argument("--work", type=Path, help="folder for data and repositories; else a temporary one")
    parser.add_argument("--json", type=Path, help="write all samples, facts and verdicts to this file")
    parser.add_argument("--install-peers", action="store_true", help="install mindtrace-registry, then stop")
    parser.add_argument("--python312", help="the Python 3.12 for --install-peers")
    return parser.parse_args()


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def _measure(chosen: argparse.Namespace, work: Path) -> tuple[Results, dict[str, object]]:
    peers = frozenset(chosen.peers.split(","))
    cases = chosen.case or list(CASES)
    rounds = chosen.rounds or (1 if chosen.quick else 5)
    versions = {tool.name: tool.version() for tool in file_tools(peers)}
    versions |= {tool.name: tool.version() for tool in dict_tools(peers)}
    for cloud in (S3, GOOGLE):
        if cloud.case in cases:
            versions |= {tool.name: tool.version() for tool in cloud_tools(cloud, peers)}
    for name in sorted(peers & set(PEERS) - versions.keys()):
        _say(f"{name} is not installed and is left out (see bench/README.md)")
    facts = report.facts(work, versions, quick=chosen.quick, rounds=rounds)
    results = Results()
    for name in cases:
        if not chosen.quick:
            # The programs, the Python files and the branches of the file system are warm when the first one starts.
            for _ in CASES[name](Bench(work, QUICK, 1, peers, lambda _text: None)):
                pass
        results.samples.extend(CASES[name](Bench(work, QUICK if chosen.quick else FULL, rounds, peers, _say)))
    return results, facts


def main() -> None:
    chosen = _arguments()
    if os.name == "nt":
        raise BenchError("the benchmark reads the accounting of Unix kernels; run it on Linux or macOS")
    if chosen.install_peers:
        install_peers(chosen.python312)
        return
    with ExitStack() as stack:
        if chosen.work:
            chosen.work.mkdir(parents=True, exist_ok=True)
            work = chosen.work.resolve()
        else:
            work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="casreg-bench-"))).resolve()
        results, facts = _measure(chosen, work)
    print(report.tables(results, chosen.case or CASES, quick=chosen.quick))
    print()
    for name, value in facts.items():
        print(f"- {name}: {value}")
    if chosen.json:
        report.write_json(chosen.json, results, facts)


if __name__ == "__main__":
    try:
        main()
    except BenchError as problem:
        raise SystemExit(f"bench: {problem}") from problem
