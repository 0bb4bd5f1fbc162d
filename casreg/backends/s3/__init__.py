"""Repositories in buckets that speak the S3 protocol, by the `minio` SDK.

`backend` has the five methods, `wire` sends their requests, `messages` reads and writes XML, `failures` says what
went wrong, `listing` keeps order. `place` says which bucket, `credentials` who asks, `proxies` the way there.
"""

from __future__ import annotations

from casreg.backends.s3.backend import S3Backend

__all__ = ["S3Backend"]
