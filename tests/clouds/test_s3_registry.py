"""A registry in a bucket: the same promises, with few requests."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from casreg import Cache, Registry, UnsafeStorageError
from casreg.testing import servers
from clouds.s3_lab import backend, new_prefix, registry

if TYPE_CHECKING:
    from pathlib import Path

    from casreg.testing.proxy import FaultProxy

pytestmark = pytest.mark.clouds


def test_what_is_saved_is_loaded_elsewhere(seaweedfs: servers.Server) -> None:
    """By another registry on the same bucket; every version, with its files."""
    prefix = new_prefix()
    one, other = registry(seaweedfs.endpoint, prefix), registry(seaweedfs.endpoint, prefix)
    big = os.urandom(5_000_000)
    assert one.save("models:a", {"weights": big}) == "1.0.0"
    assert one.save("models:a", {"weights": big + b"more"}) == "1.0.1"
    assert other.load("models:a", "1.0.0") == {"weights": big}
    assert other.load("models:a") == {"weights": big + b"more"}
    assert other.list_versions("models:a") == ["1.0.0", "1.0.1"]
    assert other.list_objects() == ["models:a"]
    other.delete("models:a", "1.0.0")
    assert one.list_versions("models:a") == ["1.0.1"]


def test_a_uri_is_enough(
    seaweedfs: servers.Server, monkeypatch: pytest.MonkeyPatch, fresh_python: object
) -> None:
    """With the keys in the environment; in a new process too."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", servers.ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", servers.SECRET_KEY)
    uri = f"s3://tests/{new_prefix()}?endpoint=http://{seaweedfs.endpoint}"
    Registry(uri).save("a", [1, 2, 3])
    code = "import sys, casreg; print(casreg.Registry(sys.argv[1]).load('a'))"
    assert fresh_python(code, uri) == "[1, 2, 3]\n"  # type: ignore[operator]


def test_a_server_without_conditions_is_refused_before_the_first_save(rclone_s3: servers.Server) -> None:
    """And nothing of the repository is there."""
    held = registry(rclone_s3.endpoint, bucket="plain")
    with pytest.raises(UnsafeStorageError, match="does not honour conditional writes"):
        held.save("a", {"x": 1})
    left = [row.key for row in held.backend.list("")]
    assert not [key for key in left if not key.startswith("probe/")]


def count(proxy: FaultProxy) -> int:
    """How many requests there were since the last time."""
    made = len(proxy.requests)
    proxy.reset()
    return made


def test_the_number_of_requests(s3_proxy: FaultProxy, tmp_path: Path) -> None:
    """Of what people do all day; each is a round trip to another continent."""
    prefix = new_prefix()
    registry(s3_proxy.endpoint, prefix).save("a", {"x": 1})
    count(s3_proxy)
    registry(s3_proxy.endpoint, prefix).save("a", {"x": 2})
    assert count(s3_proxy) <= 5  # to an existing name, by a new process
    fresh = registry(s3_proxy.endpoint, prefix)
    fresh.save("b", {"x": 1})
    assert count(s3_proxy) <= 6  # to a new name
    fresh.save("b", {"x": 2})
    assert count(s3_proxy) <= 4  # and once more
    assert registry(s3_proxy.endpoint, prefix).load("b") == {"x": 2}
    assert count(s3_proxy) == 2  # cold
    cached = Registry(backend(s3_proxy.endpoint, prefix), cache=Cache(tmp_path / "cache"))
    assert cached.load("b") == {"x": 2}
    assert count(s3_proxy) == 2


def test_a_repeated_load_is_one_request_that_sends_nothing(s3_proxy: FaultProxy, tmp_path: Path) -> None:
    """Asked with what is held, and answered "not modified"."""
    prefix = new_prefix()
    registry(s3_proxy.endpoint, prefix).save("a", os.urandom(2_000_000))
    cached = Registry(backend(s3_proxy.endpoint, prefix), cache=Cache(tmp_path / "cache"))
    first = cached.load("a")
    s3_proxy.reset()
    assert cached.load("a") == first
    assert [request.method for request in s3_proxy.requests] == ["GET"]
    assert "if-none-match" in s3_proxy.requests[0].headers
