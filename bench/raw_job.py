"""One process with a cloud's own SDK and nothing else: `raw_job.py ADDRESS VERB ARGUMENTS…`. Prints one JSON object.

Objects are below the ADDRESS, `s3://bucket/prefix?endpoint=http://host:port` or `gs://…`.  As many threads as casreg
has for a bucket; an object goes up in one request where the SDK lets it.
"""

from __future__ import annotations

import io
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

THREADS = 8
PIECE = 1 << 20


class Sdk(Protocol):
    """What an SDK does with the objects below an address."""

    def make_bucket(self) -> None:
        """Makes the bucket, if there is none."""

    def put(self, name: str, path: Path) -> None:
        """Sends a file."""

    def put_bytes(self, name: str, data: bytes) -> None:
        """Sends bytes."""

    def get(self, name: str, path: Path) -> None:
        """Writes an object into a new file."""

    def sizes(self) -> dict[str, int]:
        """All names, with the sizes in bytes."""


class Minio:
    """The `minio` SDK."""

    def __init__(self, endpoint: str, bucket: str, prefix: str) -> None:
        import minio

        keys = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
        self._client = minio.Minio(endpoint, *keys, secure=False, region="us-east-1")
        self._bucket, self._prefix = bucket, prefix

    def make_bucket(self) -> None:
        """See `Sdk`."""
        if not self._client.bucket_exists(self._bucket):
            self._client.make_bucket(self._bucket)

    def put(self, name: str, path: Path) -> None:
        """See `Sdk`. In one request: by default it would be seven for a pack."""
        size = path.stat().st_size
        with path.open("rb") as stream:
            self._client.put_object(
                self._bucket, self._prefix + name, stream, size, part_size=max(size, 5 << 20)
            )

    def put_bytes(self, name: str, data: bytes) -> None:
        """See `Sdk`."""
        self._client.put_object(self._bucket, self._prefix + name, io.BytesIO(data), len(data))

    def get(self, name: str, path: Path) -> None:
        """See `Sdk`."""
        answer = self._client.get_object(self._bucket, self._prefix + name)
        try:
            with path.open("xb") as stream:
                for piece in answer.stream(PIECE):
                    stream.write(piece)
        finally:
            answer.close()
            answer.release_conn()

    def sizes(self) -> dict[str, int]:
        """See `Sdk`."""
        rows = self._client.list_objects(self._bucket, self._prefix, recursive=True)
        return {str(row.object_name).removeprefix(self._prefix): int(row.size or 0) for row in rows}


class Google:
    """`google-cloud-storage`."""

    def __init__(self, endpoint: str, bucket: str, prefix: str) -> None:
        from google.auth.credentials import AnonymousCredentials
        from google.cloud import storage

        options = {"api_endpoint": f"http://{endpoint}"}
        self._client: Any = storage.Client("bench", AnonymousCredentials(), client_options=options)
        self._bucket: Any = self._client.bucket(bucket)
        self._prefix = prefix

    def make_bucket(self) -> None:
        """See `Sdk`."""
        if not self._bucket.exists():
            self._client.create_bucket(self._bucket)

    def put(self, name: str, path: Path) -> None:
        """See `Sdk`. What is longer than 8 MiB takes it two requests and more."""
        self._bucket.blob(self._prefix + name).upload_from_filename(str(path))

    def put_bytes(self, name: str, data: bytes) -> None:
        """See `Sdk`."""
        self._bucket.blob(self._prefix + name).upload_from_string(data)

    def get(self, name: str, path: Path) -> None:
        """See `Sdk`."""
        self._bucket.blob(self._prefix + name).download_to_filename(str(path))

    def sizes(self) -> dict[str, int]:
        """See `Sdk`."""
        rows = self._client.list_blobs(self._bucket, prefix=self._prefix)
        return {row.name.removeprefix(self._prefix): row.size for row in rows}


def connect(address: str) -> Sdk:
    """The SDK for an address. No request yet."""
    parts = urlsplit(address)
    endpoint = urlsplit(parse_qs(parts.query)["endpoint"][0]).netloc
    prefix = f"{parts.path.strip('/')}/"
    return (Minio if parts.scheme == "s3" else Google)(endpoint, parts.netloc, prefix)


def make(sdk: Sdk) -> dict[str, Any]:
    """Makes the bucket, and has the server write and read, so that the first who is measured does not find it cold."""
    sdk.make_bucket()
    for number in range(8):
        sdk.put_bytes(f"warm-{number}", b"x" * 1000)
    sdk.sizes()
    return {}


def put(sdk: Sdk, folder: str) -> dict[str, Any]:
    """Sends every file below a folder, under its path there."""
    root = Path(folder)
    files = sorted(path for path in root.rglob("*") if path.is_file())
    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(lambda path: sdk.put(path.relative_to(root).as_posix(), path), files))
    return {"objects": len(files)}


def get(sdk: Sdk, folder: str, *names: str) -> dict[str, Any]:
    """Writes objects into a folder that is empty or not there, each under its name; all that there are if none is named."""
    wanted = names or tuple(sdk.sizes())
    for parent in {Path(folder, name).parent for name in wanted}:
        parent.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(lambda name: sdk.get(name, Path(folder, name)), wanted))
    return {"objects": len(wanted)}


def sizes(sdk: Sdk) -> dict[str, Any]:
    """The sizes of all objects, by name."""
    return {"sizes": sdk.sizes()}


def put_dicts(sdk: Sdk, dicts: str) -> dict[str, Any]:
    """Sends each dict of a JSON list as an object of its own, one after the other: the floor of a small save."""
    for number, one in enumerate(json.loads(Path(dicts).read_text("utf-8"))):
        sdk.put_bytes(f"{number}.json", json.dumps(one).encode())
    return {}


VERBS: dict[str, Callable[..., dict[str, Any]]] = {
    "make": make,
    "put": put,
    "get": get,
    "sizes": sizes,
    "put-dicts": put_dicts,
}


def main() -> None:
    sdk = connect(sys.argv[1])
    began = time.perf_counter()
    result = VERBS[sys.argv[2]](sdk, *sys.argv[3:])
    print(json.dumps({"inside": time.perf_counter() - began, **result}))


if __name__ == "__main__":
    main()
