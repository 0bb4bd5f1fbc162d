"""The cases of clouds: a bucket that is 20 ms away, by casreg, by the cloud's own SDK alone, and by mindtrace."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench import data
from bench.buckets import GOOGLE, S3, Bucket, cloud_tools, running
from bench.measure import read_through, settle
from bench.peers import answer, job
from bench.results import Sample
from bench.setting import Bench, numbers, require_same

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from bench.buckets import Cloud, CloudTool
    from bench.measure import Measured

SAVES = (("save", "v1", "v1"), ("re-save", "v1", "again"), ("save v2", "v2", "v2"))
"""Steps, the data of each, and as what it is saved."""


def clouds(bench: Bench) -> Iterator[Sample]:
    """On S3: a file saved, saved again, 1 % changed, loaded; and many small dicts."""
    yield from _rounds(bench, S3)


def clouds_gcs(bench: Bench) -> Iterator[Sample]:
    """The same on a server of Google's."""
    yield from _rounds(bench, GOOGLE)


def _rounds(bench: Bench, cloud: Cloud) -> Iterator[Sample]:
    tools = cloud_tools(cloud, bench.peers)
    for number in range(bench.rounds):
        names = ", ".join(tool.name for tool in tools)
        bench.say(f"case {cloud.case}: round {number + 1} of {bench.rounds}, {names}")
        root = bench.work / "places" / cloud.case
        shutil.rmtree(root, ignore_errors=True)
        with running(cloud) as (near, far):
            buckets = {
                tool.name: Bucket(
                    root / tool.name,
                    *(_address(cloud, tool, endpoint) for endpoint in (far, near)),
                )
                for tool in tools
            }
            yield from _Round(bench, cloud, number, tools, buckets).samples()
        shutil.rmtree(root)


def _address(cloud: Cloud, tool: CloudTool, endpoint: str) -> str:
    return f"{cloud.scheme}://bench-objects/{tool.name.replace(' ', '-')}?endpoint=http://{endpoint}"


@dataclass(frozen=True, slots=True)
class _Round:
    """One round: each step goes round all tools before the next step."""

    bench: Bench
    cloud: Cloud
    number: int
    tools: list[CloudTool]
    buckets: Mapping[str, Bucket]

    def samples(self) -> Iterator[Sample]:
        """All steps."""
        self._prepare()
        yield from self._saves()
        yield from self._loads()
        dicts = self._dicts(self.bench.sizes.far_dicts)
        for tool in self.tools:
            settle(0)
            yield self._sample("save dicts", tool, tool.save_all(self._bucket(tool), dicts))

    def _prepare(self) -> None:
        """The bucket is there, the server is warm, and each tool has made what it makes once."""
        for tool in self.tools:
            bucket = self._bucket(tool)
            _ask(bucket.below("warm"), "make")
            tool.prepare(bucket, self._dicts(1))

    def _saves(self) -> Iterator[Sample]:
        model = self.bench.data("model", self.bench.sizes.model)
        for step, version, label in SAVES:
            os.utime(model / version / "data.bin")  # so that each of them reads it again
            read_through(model / version)
            before = {tool.name: self._sizes(tool) for tool in self.tools}
            source = model / version
            for tool in self.tools:
                if tool.name == self.cloud.sdk:
                    if step == "re-save":
                        continue  # what casreg writes then is two small objects
                    source = self._written(label, before["casreg"])
                    read_through(source)
                settle(self.bench.sizes.touched)
                measured = tool.save(self._bucket(tool), source, label)
                yield self._sample(step, tool, measured, sum(before[tool.name].values()))
                source = model / version

    def _written(self, label: str, before: Mapping[str, int]) -> Path:
        """A folder with the objects that casreg has written, as files: what the SDK alone is to send."""
        bucket = self.buckets["casreg"]
        now: dict[str, int] = _ask(bucket, "sizes")["sizes"]
        folder = bucket.root / "written" / label
        _ask(bucket, "get", str(folder), *sorted(now.keys() - before.keys()))
        return folder

    def _loads(self) -> Iterator[Sample]:
        model = self.bench.data("model", self.bench.sizes.model)
        for tool in self.tools:
            bucket = self._bucket(tool).elsewhere()
            raw = tool.name == self.cloud.sdk
            out = bucket.root / "out"
            settle(self.bench.sizes.touched)
            measured = tool.load(bucket, "v1", out)
            written = self.buckets["casreg"].root / "written" / "v1"
            require_same(written if raw else model / "v1", out, tool.name)
            shutil.rmtree(out)
            yield self._sample("load", tool, measured)

    def _sample(self, step: str, tool: CloudTool, measured: Measured, before: int | None = None) -> Sample:
        found = numbers(measured)
        if before is not None:
            total = sum(self._sizes(tool).values())
            found |= {"stored": float(total), "added": float(total - before)}
        return Sample(self.cloud.case, step, tool.name, self.number, found)

    def _bucket(self, tool: CloudTool) -> Bucket:
        return self.buckets[tool.name]

    def _sizes(self, tool: CloudTool) -> dict[str, int]:
        """All that a tool has in the bucket."""
        found: dict[str, int] = _ask(self._bucket(tool), "sizes")["sizes"]
        return found

    def _dicts(self, count: int) -> Path:
        path = self.bench.work / "data" / f"far-dicts-{count}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        # Others than those that were saved to begin with.
        path.write_text(json.dumps(data.small_dicts(count + 1)[1 if count > 1 else 0 :][:count]), "utf-8")
        return path


def _ask(bucket: Bucket, *arguments: str) -> dict[str, dict[str, int]]:
    """Has the SDK do something that is not timed, by the short way."""
    near = Bucket(bucket.root, bucket.near, bucket.near, "bench")
    return answer(job(near, sys.executable, "raw_job.py", *arguments))
