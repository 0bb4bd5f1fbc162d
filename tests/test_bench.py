"""The benchmark: its data is the same everywhere, its arithmetic is right, and it runs."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# `bench` is a folder of programs, not part of the installed package.
sys.path.insert(0, str(ROOT))

from bench import buckets, cases, data, growth_job, measure, report, results  # noqa: E402
from bench.results import Bar, Results, Sample  # noqa: E402


def _results(**values: list[float]) -> Results:
    samples = [
        Sample("case", "step", subject, number, {"wall": value})
        for subject, row in values.items()
        for number, value in enumerate(row)
    ]
    return Results(samples)


def test_model_data_is_pinned(tmp_path: Path) -> None:
    """Workload A is the same bytes on every machine and with every numpy."""
    data.write_model(tmp_path, data.ModelSize(total=2 << 20, regions=2, inserted=10_000))
    assert data.digest_of(tmp_path) == "828c1bfe7ac8db90a3b697bee53e1967"


def test_model_versions_differ_as_described(tmp_path: Path) -> None:
    """v2 has some regions of v1 overwritten, and v3 has bytes inserted at the middle of a small file."""
    total = 2 << 20
    data.write_model(tmp_path, data.ModelSize(total=total, regions=2, inserted=10_000))
    first, second, third = ((tmp_path / v / "data.bin").read_bytes() for v in ("v1", "v2", "v3"))
    assert len(first) == len(second) == total
    changed = sum(a != b for a, b in zip(first, second, strict=True))
    assert 160 << 10 < changed <= 320 << 10
    assert third[: total // 2] + third[total // 2 + 10_000 :] == first


def test_tree_data_is_pinned(tmp_path: Path) -> None:
    """Workload B is the same bytes on every machine and with every numpy."""
    data.write_tree(tmp_path, data.TreeSize(files=40, folders=4, changed=4))
    assert data.digest_of(tmp_path) == "e06dd04d7009ddec30f27030e2862683"


def test_changed_files_change_and_can_be_undone(tmp_path: Path) -> None:
    """Each changed file gets other bytes, and `original/` has those that it had."""
    size = data.TreeSize(files=40, folders=4, changed=4)
    data.write_tree(tmp_path, size)
    changes = data.changed_files(size)
    assert len({path for path, _ in changes}) == 4
    for path, content in changes:
        before = (tmp_path / "tree" / path).read_bytes()
        assert content != before
        assert (tmp_path / "original" / path).read_bytes() == before


def test_half_written_data_is_not_used(tmp_path: Path) -> None:
    """Only a folder that was finished, with the same size, counts as ready."""
    size = data.TreeSize(files=4, folders=2, changed=1)
    assert not data.ready(tmp_path, "tree", size)
    measure.run(data.command(tmp_path, "tree", size))
    assert data.ready(tmp_path, "tree", size)
    assert not data.ready(tmp_path, "tree", data.TreeSize(files=5, folders=2, changed=1))


def test_growth_blocks_are_chunks_of_their_own() -> None:
    """Each block of the large repository is cut as one chunk, and no two are equal."""
    from casreg.chunker import cut

    block = growth_job.blocks(499_900, 200, *growth_job.cutting_bytes())
    raw = block.tobytes()
    assert cut(memoryview(raw)) == [block.shape[1]] * 200
    assert len({row.tobytes() for row in block}) == 200


def test_median_and_spread() -> None:
    """A spread has the median, the smallest and the largest of all rounds."""
    spread = _results(casreg=[5.0, 1.0, 2.0]).spread("case", "step", "casreg", "wall")
    assert spread == results.Spread(2.0, 1.0, 5.0, 3)


def test_ratio_is_to_the_faster_peer() -> None:
    """The ratio is that of medians, and the peer with the best median is named."""
    found = _results(casreg=[1.0, 3.0, 2.0], restic=[9.0, 10.0, 9.5], borg=[5.0, 4.0, 100.0])
    outcome = found.judge(Bar("case", "step", "wall", 0.45, ("restic", "borg")))
    assert (outcome.value, outcome.best) == (2.0 / 5.0, "borg")


@pytest.mark.parametrize(
    ("value", "verdict"),
    [(0.74, "met"), (0.76, "tie"), (1.0, "tie"), (1.24, "tie"), (1.26, "missed")],
)
def test_within_a_quarter_of_a_bar_is_a_tie(value: float, verdict: str) -> None:
    """Times within 25 % of the bar, on either side, are neither met nor missed."""
    assert _results(casreg=[value]).judge(Bar("case", "step", "wall", 1.0)).verdict == verdict


@pytest.mark.parametrize(("value", "verdict"), [(1.0, "met"), (1.001, "missed")])
def test_exact_bars_have_no_ties(value: float, verdict: str) -> None:
    """Stored bytes do not vary, so they are met or missed."""
    assert _results(casreg=[value]).judge(Bar("case", "step", "wall", 1.0, exact=True)).verdict == verdict


def test_a_bar_without_its_peer_is_not_measured() -> None:
    """Nothing is called met when no peer was there to compare with."""
    outcome = _results(casreg=[1.0]).judge(Bar("case", "step", "wall", 0.5, ("restic",)))
    assert outcome.verdict == "not measured"


def test_every_bar_names_a_case() -> None:
    """A bar for a case that does not exist would never be judged."""
    assert {bar.case for bar in results.BARS} <= set(cases.CASES)


def test_tables_say_bar_value_and_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    """The report has one line for each bar of the chosen cases."""
    monkeypatch.setattr(report, "BARS", (Bar("case", "step", "wall", 0.5, ("borg",)),))
    text = report.tables(_results(casreg=[1.0], borg=[4.0]), ["case"])
    assert "| case | step | wall | borg | ≤ 0.50 | 0.25 | met |" in text


def test_a_line_delivers_everything_in_order_and_late() -> None:
    """Each direction takes its time, and an end is passed on; many pieces are under way at once."""
    data = bytes(range(256)) * 20_000
    with socket.create_server(("127.0.0.1", 0)) as server:
        upstream = f"127.0.0.1:{server.getsockname()[1]}"
        with buckets.line(upstream, 0.05) as far:
            host, _, port = far.rpartition(":")
            client = socket.create_connection((host, int(port)), timeout=30)
            held, _ = server.accept()
            with client:
                began = time.monotonic()
                threading.Thread(target=_echo, args=(held,)).start()
                client.sendall(data)
                client.shutdown(socket.SHUT_WR)
                assert _all_of(client) == data
                assert time.monotonic() - began >= 0.1


def _echo(end: socket.socket) -> None:
    with end:
        end.sendall(_all_of(end))


def _all_of(end: socket.socket) -> bytes:
    received = bytearray()
    while piece := end.recv(1 << 16):
        received += piece
    return bytes(received)


def test_a_process_is_measured_with_its_children() -> None:
    """Processor time and memory of a child's child count too."""
    burn = "b = bytearray(200 << 20); b[::4096] = bytes(len(b[::4096])); sum(range(3_000_000))"
    outer = (
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}], check=True); print('done')"
    )
    measured = measure.run([sys.executable, "-c", outer])
    assert measured.stdout == "done\n"
    assert measured.peak_rss > 200 << 20
    assert measured.cpu > 0
    assert measured.wall > 0


def test_a_process_that_fails_stops_the_benchmark() -> None:
    """The error has the command and what it printed; a failed run is never a fast one."""
    with pytest.raises(measure.BenchError, match=r"ended with 3(.|\n)*no such thing"):
        measure.run(
            [sys.executable, "-c", "import sys; print('no such thing', file=sys.stderr); sys.exit(3)"]
        )


def test_a_process_that_hangs_is_stopped() -> None:
    """The benchmark does not wait for ever."""
    with pytest.raises(measure.BenchError, match="was stopped after"):
        measure.run([sys.executable, "-c", "import time; time.sleep(60)"], timeout=0.2)


CLOUDS = [pytest.param(case, marks=pytest.mark.clouds) for case in ("clouds", "clouds-gcs")]


@pytest.mark.parametrize("case", ["a", "b", "dicts", "versions", "growth", *CLOUDS])
def test_quick_run(case: str, tmp_path: Path) -> None:
    """`run.py --quick` goes through a case with casreg alone, and writes what it found."""
    output = tmp_path / "result.json"
    argv = [sys.executable, str(ROOT / "bench" / "run.py"), "--quick", "--peers", "none", "--case", case]
    done = subprocess.run(
        [*argv, "--work", str(tmp_path / "work"), "--json", str(output)],
        check=False,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(output.read_text("utf-8"))
    assert {"casreg"} <= {sample["subject"] for sample in found["samples"]}
    assert all(sample["numbers"].get("wall", 1) > 0 for sample in found["samples"])
    assert f"### Case {case}" in done.stdout
