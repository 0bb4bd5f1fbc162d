"""Repositories in buckets that speak the S3 protocol, by the `minio` SDK."""

from __future__ import annotations

from casreg.backends.s3.backend import S3Backend

__all__ = ["S3Backend"]
