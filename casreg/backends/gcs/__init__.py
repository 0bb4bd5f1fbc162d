"""A repository in a bucket of Google Cloud Storage."""

from __future__ import annotations

from casreg.backends.gcs.backend import GCSBackend

__all__ = ["GCSBackend"]
