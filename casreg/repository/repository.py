"""The repository: what reads and writes of all kinds share, over one backend."""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from casreg.cache import CachedBackend
from casreg.exceptions import NotFound
from casreg.fetch import VersionReader
from casreg.index import Index
from casreg.keys import MARKER, manifest_key, segment_key
from casreg.manifests import decode_manifest
from casreg.marker import parse_marker
from casreg.refs import Refs
from casreg.repository.probe import ensure_marker
from casreg.repository.uploads import PINNING
from casreg.tables import Tables

if TYPE_CHECKING:
    from casreg.backends.base import Backend, Readable
    from casreg.digest import Digest
    from casreg.marker import Marker
    from casreg.model import Manifest
    from casreg.progress import ProgressCallback
    from casreg.repository.uploads import Pinning

_MANIFESTS: Final = 64


class Repository:
    """Chunks, manifests and refs over one backend. For any number of threads of one process.

    Attributes:
        backend: The place. Whatever a commit is built on was seen here.
        copies: What loads read of: the place, or local copies of what is immutable there. It gives bytes and shows
            nothing else: that it knows a key does not mean that the place has it.
        pinning: When a save is long, and what follows from that.
    """

    def __init__(self, backend: Backend, *, pinning: Pinning = PINNING) -> None:
        """No I/O. With a `CachedBackend`, loads use its cache, and nothing else does."""
        self.backend = backend
        self.pinning = pinning
        self.copies: Readable = backend.copies if isinstance(backend, CachedBackend) else backend
        self.refs = Refs(backend, copies=self.copies)
        self.index = Index(backend, self.copies)
        self.tables = Tables(backend)
        self._lock = threading.Lock()
        self._marker: Marker | None = None
        self._browsed: tuple[Digest, VersionReader] | None = None
        self._manifests = lru_cache(maxsize=_MANIFESTS)(self._read_manifest)

    def marker(self) -> Marker:
        """The repository's marker, after its place was seen to be fit for writing. Made at the first write.

        Raises:
            UnsafeStorageError: The storage does not honour conditional writes.
            CorruptError: The marker is damaged.
            UnsupportedFormatError: The repository needs a newer casreg.
            StorageError: The storage refused or failed.
        """
        with self._lock:
            if self._marker is None:
                self._marker = ensure_marker(self.backend)
            return self._marker

    def identity(self) -> str | None:
        """The id of the repository that is at the place now; None if there is none. Makes no marker, and probes nothing.

        Raises:
            CorruptError: The marker is damaged.
            UnsupportedFormatError: The repository needs a newer casreg.
            StorageError: It cannot be read.
        """
        location = self.backend.location
        try:
            marker = parse_marker(self.backend.get(MARKER).data, f"{MARKER} in {location}")
        except NotFound:
            return None
        if marker.is_probed(location):
            with self._lock:
                self._marker = marker  # whoever writes after this need not read it again
        return marker.id

    def manifest(self, digest: Digest) -> Manifest:
        """The manifest with this digest, verified. The latest are kept in memory: they never change.

        Raises:
            NotFound: It, or the segment that it points to, is not there.
            CorruptError: It is damaged.
            UnsupportedFormatError: It needs a newer casreg.
            StorageError: It cannot be read.
        """
        return self._manifests(digest)

    def without_copies(self) -> Repository:
        """This repository as it is at its place, for whoever looks whether everything is there. Knows nothing yet."""
        backend = self.backend
        return Repository(backend.backend if isinstance(backend, CachedBackend) else backend)

    def reader(
        self, manifest: Manifest, name: str, progress: ProgressCallback | None = None
    ) -> VersionReader:
        """What reads the files of a version."""
        return VersionReader(self.copies, manifest, name, progress)

    def browsed(self, manifest: Manifest) -> VersionReader:
        """What reads single files of a version. The last one is kept: reading a large tree takes a second."""
        held = self._browsed
        if held is None or held[0] != manifest.digest:
            held = self._browsed = manifest.digest, self.reader(manifest, "")
        return held[1]

    def _read_manifest(self, digest: Digest) -> Manifest:
        data = self.copies.get(manifest_key(digest)).data
        return decode_manifest(data, digest, lambda segment: self.copies.get(segment_key(segment)).data)
