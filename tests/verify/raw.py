"""What other programs do in buckets: put and remove objects by the servers' own interfaces, with no condition."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote, urlsplit
from urllib.request import Request, urlopen

from minio import Minio

from casreg.testing import servers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from casreg.backends.base import Backend


def put(place: Backend, key: str, data: bytes | None) -> None:
    """Other bytes under a key, whatever is there; None removes it."""
    uri = urlsplit(place.location)
    endpoint = parse_qs(uri.query)["endpoint"][0]
    name = f"{uri.path.strip('/')}/{key}"
    if uri.scheme == "s3":
        _put_s3(endpoint, uri.netloc, name, data)
    else:
        _put_gcs(endpoint, uri.netloc, name, data)


def copied(files: Mapping[str, bytes], place: Backend) -> Backend:
    """A copy of a place, made by other tools."""
    first, *rest = files
    place.create(first, files[first])  # it makes the bucket
    for key in rest:
        put(place, key, files[key])
    return place


def restored(files: Mapping[str, bytes], place: Backend) -> None:
    """Let the place hold these files, and no others, again."""
    there = {info.key for info in place.list("")}
    for key in there - files.keys():
        put(place, key, None)
    for key, data in files.items():
        if key not in there or place.get(key).data != data:
            put(place, key, data)


def _put_s3(endpoint: str, bucket: str, name: str, data: bytes | None) -> None:
    client = Minio(
        urlsplit(endpoint).netloc,
        access_key=servers.ACCESS_KEY,
        secret_key=servers.SECRET_KEY,
        secure=False,
        region="us-east-1",
    )
    if data is None:
        client.remove_object(bucket, name)
    else:
        client.put_object(bucket, name, io.BytesIO(data), len(data))


def _put_gcs(endpoint: str, bucket: str, name: str, data: bytes | None) -> None:
    if data is None:
        request = Request(f"{endpoint}/storage/v1/b/{bucket}/o/{quote(name, safe='')}", method="DELETE")
    else:
        query = f"uploadType=media&name={quote(name, safe='')}"
        request = Request(f"{endpoint}/upload/storage/v1/b/{bucket}/o?{query}", data, method="POST")
        request.add_header("Content-Type", "application/octet-stream")
    with urlopen(request) as answer:
        answer.read()
