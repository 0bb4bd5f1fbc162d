"""Buckets over TLS, where the server's certificate comes from an authority that nobody else knows."""

from __future__ import annotations

import random
import secrets
from typing import TYPE_CHECKING

import pytest

from casreg import GCPRegistryBackend, InvalidArgumentError, Registry, StorageUnavailableError
from clouds.s3_lab import backend
from clouds.tls import TlsFront, authority

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from casreg.testing.servers import Server

pytestmark = pytest.mark.clouds

DATA = random.Random(1).randbytes(9_000_000)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The authority's certificate, and the server's with its key."""
    return authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def s3_front(seaweedfs: Server, files: tuple[Path, Path]) -> Iterator[TlsFront]:
    """S3 over TLS."""
    with TlsFront(seaweedfs.endpoint, files[1]) as front:
        yield front


@pytest.fixture
def gcs_front(fake_gcs: Server, files: tuple[Path, Path]) -> Iterator[TlsFront]:
    """Google over TLS."""
    with TlsFront(fake_gcs.endpoint, files[1]) as front:
        yield front


def test_s3_with_the_authority_that_is_named(
    s3_front: TlsFront, files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a relative path, too, which is that of the time: saved and loaded, also what is large."""
    monkeypatch.chdir(files[0].parent)
    place = backend(s3_front.endpoint, secure=True, ca_file="ca.pem")
    monkeypatch.chdir("/")
    registry = Registry(place, cache=False)
    registry.save("a", DATA)
    registry.save("a", DATA[1:])
    assert registry.load("a", "1.0.0") == DATA
    place.delete(row.key for row in place.list("packs/"))
    assert list(place.list("packs/")) == []


def test_s3_with_the_authority_of_the_environment(
    s3_front: TlsFront, files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`SSL_CERT_FILE`."""
    monkeypatch.setenv("SSL_CERT_FILE", str(files[0]))
    place = backend(s3_front.endpoint, secure=True)
    place.create("a", b"hello")
    assert place.get("a").data == b"hello"


def test_s3_with_an_authority_that_nobody_knows(s3_front: TlsFront) -> None:
    """Nothing is sent to it, and the error names the way out."""
    with pytest.raises(StorageUnavailableError, match=r"no secure connection.*ca_file"):
        backend(s3_front.endpoint, secure=True).create("a", b"hello")


def test_a_missing_file_of_certificates_is_named(
    s3_front: TlsFront, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an argument or in the environment; others do not take its place."""
    missing = str(tmp_path / "missing.pem")
    with pytest.raises(InvalidArgumentError, match=r"missing\.pem.*ca_file"):
        backend(s3_front.endpoint, secure=True, ca_file=missing).get("a")
    monkeypatch.setenv("SSL_CERT_FILE", missing)
    with pytest.raises(InvalidArgumentError, match=r"missing\.pem.*SSL_CERT_FILE"):
        backend(s3_front.endpoint, secure=True).get("a")


def test_google_with_the_authority_of_the_environment(
    gcs_front: TlsFront, files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`REQUESTS_CA_BUNDLE`; making the bucket, saving and loading, also what is large."""
    place = GCPRegistryBackend(
        bucket_name=f"tls-{secrets.token_hex(6)}", endpoint=f"https://{gcs_front.endpoint}", timeout=10
    )
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(StorageUnavailableError, match="certificates"):
        place.create("a", b"hello")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(files[0]))
    registry = Registry(place, cache=False)
    registry.save("a", DATA)
    assert registry.load("a") == DATA
