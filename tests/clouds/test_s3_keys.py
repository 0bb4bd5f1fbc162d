"""Whose keys sign requests: those of the caller, or the ones that are there now, however long a process runs."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from casreg import StoragePermissionError
from casreg.backends.base import Token
from casreg.backends.s3.credentials import Keys
from casreg.backends.s3.place import place_of
from casreg.backends.s3.wire import Wire
from casreg.testing import proxy as proxies
from clouds.s3_lab import backend
from clouds.scripted import Asked, Reply, Scripted
from clouds.tracebacks import variables_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.clouds

ENDED = proxies.refusal(400, "ExpiredToken").body
DONE = Reply(200, b"", {"ETag": '"e"'})


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    """A server that says what it is told to."""
    with Scripted() as server:
        yield server


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the tools keep keys; it has those that are called `first`."""
    path = tmp_path / "credentials"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))
    write(path, "first")
    return path


def write(path: Path, key: str) -> None:
    """Put other keys there."""
    path.write_text(
        f"[default]\naws_access_key_id={key}\naws_secret_access_key=s\naws_session_token={key}-token\n"
    )


def signers(server: Scripted) -> list[str]:
    """Whose keys the requests were signed with."""
    return [re.findall(r"Credential=(\w+)/", asked.headers["authorization"])[0] for asked in server.asked]


def test_keys_that_have_ended_are_looked_for_anew(scripted: Scripted, file: Path) -> None:
    """What renews them writes to the file: a run of days goes on with the new ones, and no save fails for it."""
    place = backend(scripted.url, access_key=None, secret_key=None)

    def answer(asked: Asked) -> Reply:
        if "Credential=first" in asked.headers["authorization"]:
            write(file, "second")
            return Reply(400, ENDED)
        return DONE

    scripted.answer = answer
    place.create("a", b"x")
    place.swap("a", b"y", Token("e"))
    assert signers(scripted) == ["first", "second", "second"]
    assert scripted.asked[1].headers["x-amz-security-token"] == "second-token"
    assert scripted.asked[1].headers["if-none-match"] == "*"
    assert scripted.asked[1].body == b"x"


def test_keys_that_nobody_renewed_are_an_error(scripted: Scripted, file: Path) -> None:
    """After one more request, not after many."""
    scripted.answer = lambda _: Reply(400, ENDED)
    with pytest.raises(StoragePermissionError, match="does not take these credentials"):
        backend(scripted.url, access_key=None, secret_key=None).create("a", b"x")
    assert signers(scripted) == ["first", "first"]


def test_keys_of_the_caller_are_not_replaced(scripted: Scripted, file: Path) -> None:
    """By nobody else's."""
    scripted.answer = lambda _: Reply(400, ENDED)
    with pytest.raises(StoragePermissionError):
        backend(scripted.url, access_key="mine", secret_key="s", session_token="t").create("a", b"x")
    assert signers(scripted) == ["mine"]


@pytest.mark.parametrize(
    ("endpoint", "region"),
    [
        ("s3.amazonaws.com", None),
        ("s3.eu-north-1.amazonaws.com", "eu-north-1"),
        ("s3.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("minio.example:9000", "us-east-1"),
        ("notamazonaws.com", "us-east-1"),
    ],
)
def test_the_region_is_that_of_the_endpoint(endpoint: str, region: str | None) -> None:
    """Amazon's have it in their name, in China too; None: the bucket is asked. Others are called as Amazon's first."""
    place = place_of(None, endpoint=endpoint, bucket="bucket", secure=None, region=None, prefix="")
    wire = Wire(place, Keys("any", "any"), ca_file=None, timeout=1)
    assert (wire._client._base_url.region or None) == region


def test_keys_stand_in_no_variable_that_is_shown(scripted: Scripted) -> None:
    """Some tools print a traceback with the variables of each frame, the SDK's among them."""
    scripted.answer = lambda _: Reply(403)
    place = backend(scripted.url, access_key="somebody", secret_key="hunter2-hunter2")
    for use in (lambda: place.get("a"), lambda: place.create("a", b"x")):
        with pytest.raises(StoragePermissionError) as failed:
            use()
        shown = variables_of(failed.value, __file__)
        assert "Credentials(…)" in shown
        assert "hunter2" not in shown


def test_keys_of_a_role(scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a platform says that it gives one: asked once for many requests, the session token sent along."""
    role = {"AccessKeyId": "role", "SecretAccessKey": "s", "Token": "t", "Expiration": "2999-01-01T00:00:00Z"}
    scripted.answer = lambda _: DONE
    with Scripted() as platform:
        platform.answer = lambda _: Reply(200, json.dumps({**role, "Code": "Success"}).encode())
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{platform.url}/role")
        place = backend(scripted.url, access_key=None, secret_key=None)
        for number in range(3):
            place.create(f"a/{number}", b"x")
        assert [asked.target for asked in platform.asked] == ["/role"]
    assert signers(scripted) == ["role"] * 3
    assert scripted.asked[0].headers["x-amz-security-token"] == "t"
