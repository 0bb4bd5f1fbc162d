"""The policies in docs/backends.md are enough for what each account does, and no more: they are read from there."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from casreg import CasregError, Registry, StorageError, StoragePermissionError
from casreg.testing import proxy as proxies, servers
from clouds.s3_lab import backend, new_prefix

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from typing_extensions import Buffer

    from casreg.backends.base import Backend, Object, ObjectInfo, Token
    from casreg.testing.proxy import Fault, FaultProxy, Request

pytestmark = pytest.mark.clouds

PAGE = Path(__file__).parents[2] / "docs" / "backends.md"


def policies(prefix: str) -> dict[str, list[dict[str, Any]]]:
    """The statements of each account in the page, for the bucket of the tests."""
    section = PAGE.read_text(encoding="utf-8").partition("### S3")[2].partition("### Google")[0]
    blocks = re.findall(r"```json\n(.*?)```", section, re.DOTALL)
    read, write = (
        json.loads(block.replace("BUCKET", "tests").replace("PREFIX", prefix))["Statement"]
        for block in blocks
    )
    said = re.search(r"Collector: those of the reader, and `(\S+)` and `(\S+)` on `(\S+)`", section)
    assert said is not None
    everything = said[3].replace("BUCKET", "tests").replace("PREFIX", prefix)
    collect = [{"Effect": "Allow", "Action": action, "Resource": everything} for action in said.group(1, 2)]
    return {"reader": read, "writer": read + write, "collector": read + collect}


def guard(statements: list[dict[str, Any]]) -> Any:
    """A plan for the proxy that refuses what no statement allows, as Amazon does."""

    def plan(request: Request) -> Fault | None:
        action, resource, context = needed(request)
        if any(allows(statement, action, resource, context) for statement in statements):
            return None
        return proxies.refusal(403, "AccessDenied")

    return plan


def needed(request: Request) -> tuple[str, str, dict[str, str]]:
    """Which action on which resource a request is, and what conditions may ask of it."""
    parts = urlsplit(request.target)
    query = parse_qs(parts.query, keep_blank_values=True)
    path = unquote(parts.path).removeprefix("/")
    headers = {f"s3:{name}": value for name, value in request.headers.items() if name.startswith("if-")}
    if "delete" in query:  # which keys stands in the body; here all policies say the same of all
        return "s3:DeleteObject", f"arn:aws:s3:::{path}/{query.get('x', [''])[0]}any", headers
    if "list-type" in query:
        return "s3:ListBucket", f"arn:aws:s3:::{path}", {"s3:prefix": query["prefix"][0]}
    kinds = {"GET": "s3:GetObject", "PUT": "s3:PutObject" if "/" in path else "s3:CreateBucket"}
    return kinds[request.method], f"arn:aws:s3:::{path}", headers


def allows(statement: dict[str, Any], action: str, resource: str, context: dict[str, str]) -> bool:
    """Whether a statement of a policy covers this."""
    assert statement["Effect"] == "Allow"
    resources = statement["Resource"]
    if statement["Action"] != action:
        return False
    if action == "s3:DeleteObject":
        return bool(resources)
    if not any(
        fnmatchcase(resource, one) for one in ([resources] if isinstance(resources, str) else resources)
    ):
        return False
    conditions = statement.get("Condition", {})
    assert conditions.keys() <= {"Null", "StringLike"}
    return all(
        name in context for name, said in conditions.get("Null", {}).items() if said == "false"
    ) and all(
        any(fnmatchcase(context.get(name, ""), pattern) for pattern in patterns)
        for name, patterns in conditions.get("StringLike", {}).items()
    )


def work(registry: Registry) -> None:
    """All that changes a registry, with packs, an index, segments of a long history, and tombstones."""
    data = bytes(range(256)) * 4000
    registry.save("a:b", {"weights": data})
    registry.save("a:b", {"weights": data[1:]}, metadata={"rmse": 0.5})
    for number in range(3):
        registry.save("new", number)
    registry.tag("a:b", "prod")
    registry.protect("a:b", "1.0.1")
    registry.delete("a:b", "1.0.0")
    registry.undelete("a:b", "1.0.0")
    registry.rename("new", "renamed")
    assert registry.load("a:b@prod") == {"weights": data[1:]}


def test_a_writer_needs_no_more_than_its_policy(s3_proxy: FaultProxy, seaweedfs: servers.Server) -> None:
    """After the first save by a collector it can save, tag, delete and rename; and it can delete no object."""
    prefix = new_prefix()
    rights = policies(prefix)
    s3_proxy.reset(guard(rights["collector"]))
    collector = backend(s3_proxy.endpoint, prefix)
    Registry(collector, cache=False).save("first", 1)
    assert list(collector.list("probe/")) == []
    plan = guard(rights["writer"])
    s3_proxy.reset(plan)
    writer = backend(s3_proxy.endpoint, prefix)
    work(Registry(writer, cache=False))
    # It tries once whether it may delete, and if not, it leaves files of the index to be merged by others.
    assert [request.target for request in s3_proxy.requests if plan(request)] == ["/tests?delete="]
    key = next(writer.list("packs/")).key
    with pytest.raises(StoragePermissionError, match="policy"):
        writer.delete([key])
    for elsewhere in ("casreg.json", "gc/head", "probe/a", "other/a"):
        with pytest.raises(StorageError):
            writer.create(elsewhere, b"x")
    with pytest.raises(StoragePermissionError):
        writer.swap(key, b"x", backend(seaweedfs.endpoint, prefix).get(key).token)  # type: ignore[arg-type]
    s3_proxy.reset(guard(rights["collector"]))
    collector.delete([key])
    assert key not in {row.key for row in collector.list("packs/")}


def test_a_reader_needs_no_more_than_its_policy(s3_proxy: FaultProxy, seaweedfs: servers.Server) -> None:
    """It loads, lists and searches, and changes nothing."""
    prefix = new_prefix()
    work(Registry(backend(seaweedfs.endpoint, prefix), cache=False))
    s3_proxy.reset(guard(policies(prefix)["reader"]))
    reader = Registry(backend(s3_proxy.endpoint, prefix), cache=False)
    assert reader.list_objects() == ["a:b", "renamed"]
    assert reader.list_versions("a:b") == ["1.0.0", "1.0.1"]
    assert len(reader.load("a:b")["weights"]) == 1_023_999
    assert reader.history("a:b")
    assert reader.info("a:b")["stored"]
    assert not reader.has_object("never")
    assert s3_proxy.faults == 0
    for change in (
        lambda: reader.save("a:b", 1),
        lambda: reader.delete("a:b", "1.0.0"),
        lambda: reader.tag("a:b", "x"),
    ):
        with pytest.raises(CasregError, match="policy"):
            change()
    assert Registry(backend(seaweedfs.endpoint, prefix), cache=False).list_versions("a:b") == [
        "1.0.0",
        "1.0.1",
    ]


def test_no_account_leaves_its_prefix(s3_proxy: FaultProxy) -> None:
    """The policies name it."""
    prefix = new_prefix()
    for statements in policies(prefix).values():
        s3_proxy.reset(guard(statements))
        other = backend(s3_proxy.endpoint, f"{prefix}-other")
        with pytest.raises(StoragePermissionError):
            other.get("refs/a")
        with pytest.raises(StoragePermissionError):
            list(other.list("refs/"))
        with pytest.raises(StoragePermissionError):
            other.create("refs/a", b"x")


class GooglesRights:
    """A backend with the rights of a writer at Google: replacing is deleting there, and allowed of refs alone."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.location = backend.location

    def get(self, key: str, start: int = 0, stop: int | None = None, *, held: Object | None = None) -> Object:
        return self.backend.get(key, start, stop, held=held)

    def create(self, key: str, data: Buffer, *, durable: bool = True) -> Token:
        return self.backend.create(key, data, durable=durable)

    def swap(self, key: str, data: Buffer, expected: Token) -> Token:
        if not key.startswith("refs/"):
            raise StoragePermissionError(f"replacing {key!r} is not allowed")
        return self.backend.swap(key, data, expected)

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:
        return self.backend.list(prefix, after)

    def delete(self, keys: Iterable[str]) -> None:
        raise StoragePermissionError(f"deleting {list(keys)} is not allowed")


def test_a_writer_at_google_replaces_refs_alone() -> None:
    """So the right to delete, which that takes there, can be limited to them."""
    Registry("memory://rights-at-google").save("first", 1)
    work(Registry(GooglesRights(Registry("memory://rights-at-google").backend), cache=False))
    page = PAGE.read_text(encoding="utf-8")
    assert 'resource.name.startsWith("projects/_/buckets/BUCKET/objects/PREFIX/refs/")' in page
