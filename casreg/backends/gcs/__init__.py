"""A repository in a bucket of Google Cloud Storage.

`backend` has the five methods, `session` sends their requests, `upload` is the body of one, `answers` what comes
back. `place` says which bucket, `credentials` who asks.
"""

from __future__ import annotations

from casreg.backends.gcs.backend import GCSBackend

__all__ = ["GCSBackend"]
