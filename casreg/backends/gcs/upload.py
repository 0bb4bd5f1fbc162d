"""The body of an upload: what an object is called, and its bytes, in one request.

Of the kinds of uploads that Google's JSON API has, `multipart` alone says with the bytes what they must be (a
checksum, refused before the object is there) and how they may be cached.  It is also the one whose preconditions the
server for tests honours.
"""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Buffer

_PIECE: Final = 1 << 20
_SENT: Final = 256 * 1024
"""Bytes handed to a socket at once. The time for that is the one that connecting may take, whatever their number: a
pack of 32 MiB in one piece would need 27 Mbit/s."""

_TYPE: Final = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Upload:
    """A body of a known length, in pieces: the bytes of the object are not copied for it.

    Attributes:
        head: What comes before the bytes.
        data: The bytes.
        tail: What comes after them.
        content_type: That of the whole.
    """

    head: bytes
    data: memoryview
    tail: bytes
    content_type: str

    def __iter__(self) -> Iterator[bytes | memoryview]:
        yield self.head
        for start in range(0, self.data.nbytes, _SENT):
            yield self.data[start : start + _SENT]
        yield self.tail

    def __len__(self) -> int:
        return len(self.head) + self.data.nbytes + len(self.tail)


def upload_of(name: str, data: Buffer) -> Upload:
    """The body that makes an object called `name`."""
    body = memoryview(data).cast("B")
    boundary = secrets.token_hex(16)  # in no data, but for one chance in 2**128
    about = {
        "name": name,
        "contentType": _TYPE,
        "cacheControl": "no-store",  # see `casreg.backends.gcs.backend`
        "crc32c": base64.b64encode(_crc32c(body).to_bytes(4, "big")).decode(),
    }
    head = (
        f"--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{json.dumps(about)}\r\n"
        f"--{boundary}\r\nContent-Type: {_TYPE}\r\n\r\n"
    )
    tail = f"\r\n--{boundary}--\r\n"
    return Upload(head.encode(), body, tail.encode(), f'multipart/related; boundary="{boundary}"')


def _crc32c(data: memoryview) -> int:
    from google_crc32c import extend  # noqa: PLC0415 - a library of this storage alone

    value = 0
    for start in range(0, data.nbytes, _PIECE):
        value = extend(value, bytes(data[start : start + _PIECE]))  # it takes nothing but `bytes`
    return int(value)
