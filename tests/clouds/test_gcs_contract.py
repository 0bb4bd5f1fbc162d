"""The contract of backends, on fake-gcs-server: Google's JSON API, with its preconditions."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import pytest

from casreg.backends.gcs import GCSBackend
from casreg.testing import BackendContract

if TYPE_CHECKING:
    from pathlib import Path

    from casreg.backends.base import Backend
    from casreg.testing.servers import Server

pytestmark = pytest.mark.clouds


class TestGCS(BackendContract):
    server: Server

    @pytest.fixture(autouse=True)
    def _server(self, fake_gcs: Server) -> None:
        self.server = fake_gcs

    def make_backend(self, folder: Path) -> Backend:
        return GCSBackend(bucket_name=f"contract-{secrets.token_hex(6)}", endpoint=self.server.url)


class TestGCSBelowAPrefix(TestGCS):
    def make_backend(self, folder: Path) -> Backend:
        bucket = f"contract-{secrets.token_hex(6)}"
        # What others have beside it, and below a name that begins alike, is nobody's business here.
        for other in ("other", "team/models-old", "team/models0", "zoo"):
            GCSBackend(bucket_name=bucket, endpoint=self.server.url, prefix=other).create("a", b"theirs")
        return GCSBackend(f"gs://{bucket}/team/models?endpoint={self.server.url}")

    def reopen(self, backend: Backend) -> Backend:
        return GCSBackend(backend.location)
