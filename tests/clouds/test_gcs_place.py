"""What the backend of Google Cloud Storage is made of: no server is needed, and none is asked."""

from __future__ import annotations

import json
import pickle
from typing import TYPE_CHECKING, Any

import pytest

import casreg
from casreg.backends.gcs import GCSBackend
from casreg.backends.open import open_backend
from casreg.exceptions import InvalidArgumentError, StorageError, StoragePermissionError
from casreg.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.clouds

SECRET = "canary-5up3rs3cr3t"

PRINTED = """
import socket

def refuse(*args, **kwargs):
    raise AssertionError("the network was used")

socket.socket.connect = socket.getaddrinfo = refuse
from casreg import GCPRegistryBackend, Registry

gcp_backend = GCPRegistryBackend(
    uri="gs://my-registry-bucket",
    project_id="my-project",
    bucket_name="my-registry-bucket",
    credentials_path="/path/to/service-account.json",
)
registry = Registry(backend=gcp_backend)
print(gcp_backend.location, registry.backend.location)
import sys
print(sorted({"google.auth", "google.cloud.storage", "requests"} & set(sys.modules)))
"""


def test_the_printed_example_needs_no_network(fresh_python: Callable[..., str]) -> None:
    """It constructs, also inside a Registry, without the credentials file, and loads no client library."""
    assert fresh_python(PRINTED).split("\n")[:2] == ["gs://my-registry-bucket gs://my-registry-bucket", "[]"]


@pytest.mark.parametrize(
    ("arguments", "location"),
    [
        ({"uri": "gs://bucket"}, "gs://bucket"),
        ({"uri": "gs://bucket/"}, "gs://bucket"),
        ({"uri": "GS://bucket/team/models/"}, "gs://bucket/team/models"),
        ({"bucket_name": "bucket", "prefix": "/a/b/"}, "gs://bucket/a/b"),
        ({"uri": "gs://bucket/a%25b"}, "gs://bucket/a%25b"),
        # With the name of a bucket, the URI is a label: the documents print such ones.
        ({"uri": "s3://other/a?x=y", "bucket_name": "bucket"}, "gs://bucket"),
        ({"uri": "gs://bucket/a", "prefix": "/a/"}, "gs://bucket/a"),
        (
            {"uri": "gs://bucket?endpoint=localhost:1", "endpoint": "localhost:1"},
            "gs://bucket?endpoint=http://localhost:1",
        ),
        # An endpoint without a scheme: in the clear on this machine, and only there.
        ({"uri": "gs://bucket/a?endpoint=localhost:4443"}, "gs://bucket/a?endpoint=http://localhost:4443"),
        ({"uri": "gs://bucket?endpoint=[::1]:4443"}, "gs://bucket?endpoint=http://[::1]:4443"),
        ({"uri": "gs://bucket?endpoint=private.example"}, "gs://bucket?endpoint=https://private.example"),
        ({"uri": "gs://bucket?endpoint=https://storage.googleapis.com/"}, "gs://bucket"),
        ({"uri": "gs://bucket?project=p"}, "gs://bucket"),
    ],
)
def test_the_location_names_the_place(arguments: dict[str, Any], location: str) -> None:
    """Bucket, prefix, and the endpoint unless it is Google's; and it opens the same place again."""
    backend = GCSBackend(**arguments)
    assert backend.location == location
    again = open_backend(location)
    assert isinstance(again, casreg.GCPRegistryBackend)
    assert again.location == location


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"uri": ""},
        {"uri": "bucket"},
        {"uri": "s3://bucket"},
        {"uri": "gs://"},
        {"uri": "gs:///prefix"},
        {"uri": "gs://Bucket"},
        {"uri": "gs://[bucket"},
        {"bucket_name": "a"},
        {"bucket_name": "a/b"},
        {"uri": "gs://bucket/a//b"},
        {"uri": "gs://bucket/../b"},
        {"uri": "gs://bucket/a b"},
        {"bucket_name": "bucket", "prefix": "ä"},
        {"bucket_name": "bucket", "prefix": "x/" * 400},
        {"uri": "gs://bucket#fragment"},
        {"uri": "gs://bucket/a", "prefix": "b"},
        {"uri": "gs://bucket?endpoint=localhost:1", "endpoint": "localhost:2"},
        {"uri": "gs://bucket?project=a", "project_id": "b"},
        {"uri": "gs://bucket", "endpoint": "http://example.com"},
        {"uri": "gs://bucket", "endpoint": "http://10.0.0.1:4443"},
        {"uri": "gs://bucket", "endpoint": "ftp://localhost"},
        {"uri": "gs://bucket", "endpoint": "https://"},
        {"uri": "gs://bucket", "endpoint": "localhost:port"},
        {"uri": "gs://bucket", "timeout": 0},
        {"uri": "gs://bucket", "timeout": None},
        {"uri": "gs://bucket", "credentials_path": ""},
    ],
)
def test_what_names_no_place_is_refused(arguments: dict[str, Any]) -> None:
    """At once, before anything is asked."""
    with pytest.raises(InvalidArgumentError):
        GCSBackend(**arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        {"uri": f"gs://user:{SECRET}@bucket/prefix"},
        {"uri": f"gs://user:{SECRET}/more@bucket/prefix"},
        {"uri": f"gs://bucket/prefix?private_key={SECRET}"},
        {"uri": f"gs://bucket/prefix#{SECRET}"},
        {"uri": "gs://bucket", "endpoint": f"https://user:{SECRET}@host"},
        {"uri": "gs://bucket", "endpoint": f"https://host?key={SECRET}"},
        {"uri": f"gs://bucket?endpoint=https://user:{SECRET}@host"},
    ],
)
def test_secrets_in_uris_are_refused_and_not_repeated(arguments: dict[str, Any]) -> None:
    """They would stand in messages, listings and pickles."""
    with pytest.raises(InvalidArgumentError) as refusal:
        GCSBackend(**arguments)
    assert SECRET not in str(refusal.value)


@pytest.mark.parametrize("endpoint", [None, "localhost:1"])
@pytest.mark.parametrize(
    "use",
    [
        lambda backend: backend.get("a"),
        lambda backend: backend.create("a", b""),
        lambda backend: list(backend.list("")),
        lambda backend: backend.delete(["a"]),
        lambda backend: Registry(backend).save("a", 1),
        lambda backend: Registry(backend).load("a"),
    ],
)
def test_a_missing_credentials_file_is_an_error_at_the_first_use(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    endpoint: str | None,
    use: Callable[[GCSBackend], object],
) -> None:
    """Of any kind, naming the file and the way out. Ambient credentials, which are there, are not used instead.

    Nor is a server on this machine spoken to without any: who names a file means it.
    """
    ambient = tmp_path / "ambient.json"
    ambient.write_text(
        json.dumps({"type": "authorized_user", "client_id": "i", "client_secret": "s", "refresh_token": "r"})
    )
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(ambient))
    backend = GCSBackend("gs://bucket", credentials_path=tmp_path / "missing.json", endpoint=endpoint)
    with pytest.raises(StoragePermissionError, match=r"missing\.json .*does not exist.*credentials_path"):
        use(backend)


@pytest.mark.parametrize(
    "content",
    [
        SECRET,
        f'{{"private_key": "{SECRET}"}}',
        f'{{"type": "service_account", "private_key": "{SECRET}"}}',
        f'{{"type": "service_account", "private_key": "{SECRET}", "client_email": "a@b", "token_uri": "https://c"}}',
        f'["{SECRET}"]',
        f'{{"type": "external_account", "secret": "{SECRET}"}}',
    ],
)
def test_a_file_without_credentials_is_an_error_that_does_not_quote_it(tmp_path: Path, content: str) -> None:
    """Whatever it holds instead."""
    path = tmp_path / "key.json"
    path.write_text(content)
    with pytest.raises(StoragePermissionError, match=r"key\.json") as refusal:
        GCSBackend("gs://bucket", credentials_path=path).get("a")
    assert SECRET not in str(refusal.value)


def test_a_machine_without_credentials_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With three ways out."""
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "APPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "True")
    with pytest.raises(StorageError, match=r"credentials_path.*GOOGLE_APPLICATION_CREDENTIALS.*gcloud"):
        GCSBackend("gs://bucket").get("a")


def test_the_path_of_credentials_does_not_move(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative one is that of the working directory at the time, in pickles too."""
    monkeypatch.chdir(tmp_path)
    backend = GCSBackend("gs://bucket", credentials_path="key.json")
    monkeypatch.chdir("/")
    for handle in (backend, pickle.loads(pickle.dumps(backend))):
        with pytest.raises(StoragePermissionError, match=str(tmp_path / "key.json")):
            handle.get("a")


def test_a_pickle_keeps_all_arguments() -> None:
    """A handle in another process is the same one."""
    backend = GCSBackend(
        "gs://bucket/prefix", "project", credentials_path="key.json", create_bucket=False, timeout=3
    )
    assert pickle.loads(pickle.dumps(backend)).__getstate__() == backend.__getstate__()
    assert repr(backend) == "GCSBackend('gs://bucket/prefix')"
