"""The XML that goes both ways: pages of listings, and which keys to delete. By the SDK's own readers and writers."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, NamedTuple

from casreg.backends.base import ObjectInfo, Token

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from typing_extensions import Buffer

    from casreg.backends.s3.wire import Answer


class Page(NamedTuple):
    """One answer of a listing, with whole keys, and the server's word for where it goes on; empty at the end."""

    rows: list[ObjectInfo]
    token: str

    @property
    def more(self) -> bool:
        """Whether there is another page."""
        return bool(self.token)


class Deleted(NamedTuple):
    """Which keys are confirmed to be gone, and the server's code for each that it refused."""

    gone: set[str]
    refused: Mapping[str, str]


def read_page(answer: Answer) -> Page:
    """What a server listed.

    Raises:
        ValueError: It is not what S3 answers.
    """
    from minio.datatypes import parse_list_objects

    try:
        found, more, token, _marker = parse_list_objects(answer)  # type: ignore[arg-type] # it reads `data` alone
    except (SyntaxError, TypeError, AttributeError) as err:
        raise ValueError(f"it cannot be read ({err})") from err
    rows = [
        ObjectInfo(
            row.object_name,
            row.size or 0,
            Token(row.etag.strip('"')) if row.etag else None,
            row.last_modified.timestamp() if row.last_modified else 0.0,
        )
        for row in found
        if row.object_name
    ]
    return Page(rows, (token or "") if more else "")


def deletion(keys: Iterable[str]) -> tuple[bytes, dict[str, str]]:
    """The body and the headers of a request that deletes `keys`, and is answered for every one of them."""
    from minio.deleteobjects import DeleteObject, DeleteRequest
    from minio.xml import marshal

    body = marshal(DeleteRequest([DeleteObject(key) for key in keys]))
    return body, checksum(body)


def checksum(body: Buffer) -> dict[str, str]:
    """The header by which a server sees whether all of a body has come: the checksum that S3 has had from the first."""
    digest = hashlib.md5(body, usedforsecurity=False).digest()
    return {"Content-MD5": base64.b64encode(digest).decode()}


def read_deleted(answer: Answer) -> Deleted:
    """What a server says that it deleted. A key that was not there is gone too.

    Raises:
        ValueError: It is not what S3 answers.
    """
    from minio.deleteobjects import DeleteResult
    from minio.xml import unmarshal

    if b"DeleteResult" not in answer.data:
        raise ValueError(
            "it has no DeleteResult"
        )  # else a page of anything would confirm nothing, again and again
    try:
        result = unmarshal(DeleteResult, answer.data.decode())
    except SyntaxError as err:
        raise ValueError(f"it cannot be read ({err})") from err
    refused = {one.name: one.code for one in result.error_list if one.name}
    gone = {one.name for one in result.object_list} | {
        key for key, code in refused.items() if code == "NoSuchKey"
    }
    return Deleted(gone, refused)
