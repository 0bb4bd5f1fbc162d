"""What can be said of a bucket without asking anybody: where it is, what is refused, what is never shown."""

from __future__ import annotations

import logging
import pickle

import pytest

import casreg
from casreg import InvalidArgumentError, MinioRegistryBackend, Registry
from casreg.backends.open import open_backend

SECRET = "hunter2-hunter2"


def test_the_printed_call_constructs_without_a_network() -> None:
    """As in the documents that casreg replaces: the URI is a label, since the bucket has an argument of its own."""
    backend = MinioRegistryBackend(
        uri="gs://my-registry",
        endpoint="localhost:9000",
        access_key="minioadmin",
        secret_key="minioadmin",
        bucket="minio-registry",
        secure=False,
    )
    assert backend.location == "s3://minio-registry?endpoint=http://localhost:9000"
    assert Registry(backend=backend).backend is backend


@pytest.mark.parametrize(
    ("uri", "location"),
    [
        ("s3://bucket", "s3://bucket?endpoint=https://s3.amazonaws.com"),
        ("s3://bucket/", "s3://bucket?endpoint=https://s3.amazonaws.com"),
        ("s3://bucket/a/b/", "s3://bucket/a/b?endpoint=https://s3.amazonaws.com"),
        ("s3://bucket/a?endpoint=minio:9000", "s3://bucket/a?endpoint=https://minio:9000"),
        ("s3://bucket/a?endpoint=https://MINIO:443/", "s3://bucket/a?endpoint=https://minio"),
        ("s3://bucket?endpoint=http://127.0.0.1:9000", "s3://bucket?endpoint=http://127.0.0.1:9000"),
        ("s3://bucket?endpoint=http://[::1]:9000", "s3://bucket?endpoint=http://[::1]:9000"),
        ("s3://bucket?region=eu-north-1", "s3://bucket?endpoint=https://s3.amazonaws.com"),
        ("s3://bucket?endpoint=minio&secure=true", "s3://bucket?endpoint=https://minio"),
        ("s3://bucket?endpoint=localhost:9000&secure=false", "s3://bucket?endpoint=http://localhost:9000"),
    ],
)
def test_a_uri_names_a_place(uri: str, location: str) -> None:
    """Its location names scheme, server, bucket and prefix, and opens the same place again."""
    backend = open_backend(uri)
    assert backend.location == location
    assert open_backend(location).location == location


def test_no_two_servers_look_alike() -> None:
    """What was seen at one place must not count at another: the location differs by all that makes another place."""
    places = [
        MinioRegistryBackend(endpoint=endpoint, bucket=bucket, prefix=prefix, secure=secure).location
        for endpoint in ("one:9000", "two:9000", "one:9001")
        for bucket in ("bucket", "bucket2")
        for prefix in ("", "a", "a/b")
        for secure in (True, False)
    ]
    assert len(set(places)) == len(places)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "which bucket"),
        ({"uri": "gs://bucket"}, "names no bucket"),
        ({"uri": "s3:///a"}, "names no bucket"),
        ({"bucket": "no/bucket"}, "no name of a bucket"),
        ({"bucket": "ab"}, "no name of a bucket"),
        ({"bucket": "bucket", "endpoint": "http://minio:9000"}, "plain http to another machine"),
        ({"uri": "s3://bucket?endpoint=http://minio:9000"}, "plain http to another machine"),
        ({"bucket": "bucket", "endpoint": "https://minio:9000", "secure": False}, "contradict"),
        ({"bucket": "bucket", "endpoint": "ftp://minio"}, "no endpoint"),
        ({"bucket": "bucket", "endpoint": "minio:9000/path"}, "no endpoint"),
        ({"uri": "s3://bucket?endpoint=one:1", "endpoint": "two:2"}, "two different things"),
        ({"uri": "s3://bucket/a", "prefix": "b"}, "two different things"),
        ({"bucket": "bucket", "prefix": "a//b"}, "no prefix"),
        ({"bucket": "bucket", "prefix": "../b"}, "no prefix"),
        ({"bucket": "bucket", "region": "no region"}, "no region"),
        ({"bucket": "bucket", "access_key": "only"}, "go together"),
        ({"bucket": "bucket", "session_token": "only"}, "go together"),
        ({"bucket": "bucket", "timeout": 0}, "seconds above 0"),
        ({"bucket": "bucket", "timeout": "60"}, "seconds above 0"),
        ({"bucket": "bucket", "timeout": True}, "seconds above 0"),
        ({"bucket": "bucket", "access_key": "", "secret_key": ""}, "empty"),
        ({"bucket": "bucket", "access_key": "a", "secret_key": ""}, "empty"),
        ({"uri": "s3://bucket?endpoint=minio&secure=no"}, "neither true nor false"),
        ({"uri": "s3://bucket?endpoint=minio&secure=false", "secure": True}, "contradicts"),
        ({"uri": "s3://bucket?endpoint=https://minio&secure=false"}, "contradict each other"),
    ],
)
def test_what_names_no_place_is_refused(arguments: dict[str, str], message: str) -> None:
    """At once, before anything is asked."""
    with pytest.raises(InvalidArgumentError, match=message):
        MinioRegistryBackend(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "arguments",
    [
        {"uri": f"s3://key:{SECRET}@bucket"},
        {"uri": f"s3://bucket?endpoint=key:{SECRET}@minio:9000"},
        {"uri": f"s3://bucket?access_key=a&secret_key={SECRET}"},
        {"bucket": "bucket", "endpoint": f"https://key:{SECRET}@minio:9000"},
    ],
)
def test_secrets_in_a_uri_are_refused_and_not_repeated(arguments: dict[str, str]) -> None:
    """The message says where they belong, and holds none of them."""
    with pytest.raises(InvalidArgumentError) as refused:
        MinioRegistryBackend(**arguments)  # type: ignore[arg-type]
    assert SECRET not in str(refused.value)
    assert "redentials are arguments" in str(refused.value)


def test_plain_http_leaves_the_machine_only_when_said() -> None:
    """`secure=False` is that, in a URI too; so the location opens the place again."""
    backend = MinioRegistryBackend(endpoint="http://minio:9000", bucket="bucket", secure=False)
    assert backend.location == "s3://bucket?endpoint=http://minio:9000&secure=false"
    for uri in (backend.location, "s3://bucket?endpoint=minio:9000&secure=False"):
        assert open_backend(uri).location == backend.location


def test_nothing_shows_a_secret(caplog: pytest.LogCaptureFixture) -> None:
    """Not the representation, the location, the pickle, an error, or a log of all that is said."""
    caplog.set_level(logging.DEBUG)
    backend = MinioRegistryBackend(
        endpoint="127.0.0.1:1",
        bucket="bucket",
        access_key="visible-access",
        secret_key=SECRET,
        session_token=f"token-{SECRET}",
        secure=False,
        timeout=1,
    )
    with pytest.raises(casreg.StorageUnavailableError) as failed:
        backend.get("a")
    shown = [repr(backend), backend.location, repr(vars(backend)), str(failed.value), caplog.text]
    assert not [text for text in shown if SECRET in text or "visible-access" in text]
    assert SECRET.encode() not in pickle.dumps(backend)
    assert b"visible-access" not in pickle.dumps(backend)


def test_making_one_loads_no_sdk(fresh_python: object) -> None:
    """Whoever only names a bucket does not pay for the SDK."""
    code = (
        "import sys, casreg; casreg.MinioRegistryBackend(bucket='bucket', endpoint='localhost:9000');"
        "print('minio' in sys.modules)"
    )
    assert fresh_python(code) == "False\n"  # type: ignore[operator]
