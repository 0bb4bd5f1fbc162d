"""A content-addressed, versioned registry of Python objects.

    from casreg import Registry

    registry = Registry()
    registry.save("my:model", model)  # "1.0.0"
    registry.load("my:model")

Importing this package loads the standard library and nothing else: what a name below needs is loaded when
the name is first used (PEP 562).  Type checkers see all of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from casreg.exceptions import (
    AlreadyExists,
    CasregError,
    CommitConflictError,
    CommitUnknownError,
    ConfigError,
    Conflict,
    CorruptError,
    DestinationError,
    InvalidArgumentError,
    InvalidMetadataError,
    InvalidNameError,
    InvalidVersionError,
    LockTimeoutError,
    MaterializationError,
    MaterializerError,
    NoMaterializerError,
    NotFound,
    ObjectChangedError,
    ObjectNotFoundError,
    ReadOnlyError,
    SourceChangedError,
    SourceError,
    SourceNotFoundError,
    StorageError,
    StorageFullError,
    StoragePermissionError,
    StorageUnavailableError,
    StoreAmbiguousObjectError,
    StoreError,
    StoreKeyFormatError,
    StoreLocationNotFound,
    StoreMountError,
    UnknownClassError,
    UnknownMaterializerError,
    UnsafeStorageError,
    UnsupportedFormatError,
    UnsupportedSourceError,
    UntrustedError,
    VersionConflictError,
    VersionProtectedError,
)

if TYPE_CHECKING:
    from casreg.adopt import Adoption
    from casreg.backends.gcs import GCSBackend as GCPRegistryBackend
    from casreg.backends.local import LocalBackend as LocalRegistryBackend
    from casreg.backends.memory import MemoryBackend
    from casreg.backends.s3 import S3Backend as MinioRegistryBackend
    from casreg.cache import Cache
    from casreg.difference import Difference
    from casreg.gc import Collection, Compaction, Pruned
    from casreg.progress import Progress
    from casreg.registry import BatchItem, BatchResult, Registry
    from casreg.stats import NameStats, Stats, UnfinishedUpload
    from casreg.store import Mount, Store
    from casreg.sync import Synced, Unsynced
    from casreg.verify import Damage, Healing, Report

    __version__: str
else:
    # Hidden from type checkers, for which a module with `__getattr__` would have every attribute.

    _LAZY = {
        "Adoption": ("casreg.adopt", "Adoption"),
        "BatchItem": ("casreg.registry", "BatchItem"),
        "BatchResult": ("casreg.registry", "BatchResult"),
        "Cache": ("casreg.cache", "Cache"),
        "Damage": ("casreg.verify", "Damage"),
        "Collection": ("casreg.gc", "Collection"),
        "Compaction": ("casreg.gc", "Compaction"),
        "Difference": ("casreg.difference", "Difference"),
        "GCPRegistryBackend": ("casreg.backends.gcs", "GCSBackend"),
        "Healing": ("casreg.verify", "Healing"),
        "LocalRegistryBackend": ("casreg.backends.local", "LocalBackend"),
        "MemoryBackend": ("casreg.backends.memory", "MemoryBackend"),
        "MinioRegistryBackend": ("casreg.backends.s3", "S3Backend"),
        "Mount": ("casreg.store", "Mount"),
        "NameStats": ("casreg.stats", "NameStats"),
        "Progress": ("casreg.progress", "Progress"),
        "Pruned": ("casreg.gc", "Pruned"),
        "Registry": ("casreg.registry", "Registry"),
        "Report": ("casreg.verify", "Report"),
        "Stats": ("casreg.stats", "Stats"),
        "Store": ("casreg.store", "Store"),
        "Synced": ("casreg.sync", "Synced"),
        "UnfinishedUpload": ("casreg.stats", "UnfinishedUpload"),
        "Unsynced": ("casreg.sync", "Unsynced"),
    }

    def __getattr__(name: str) -> object:
        """Load what `name` stands for, once."""
        if name == "__version__":
            value = import_module("importlib.metadata").version("casreg")
        elif name in _LAZY:
            module, attribute = _LAZY[name]
            value = getattr(import_module(module), attribute)
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted(set(globals()) | set(__all__))


__all__ = [
    "Adoption",
    "AlreadyExists",
    "BatchItem",
    "BatchResult",
    "Cache",
    "CasregError",
    "Collection",
    "CommitConflictError",
    "CommitUnknownError",
    "Compaction",
    "ConfigError",
    "Conflict",
    "CorruptError",
    "Damage",
    "DestinationError",
    "Difference",
    "GCPRegistryBackend",
    "Healing",
    "InvalidArgumentError",
    "InvalidMetadataError",
    "InvalidNameError",
    "InvalidVersionError",
    "LocalRegistryBackend",
    "LockTimeoutError",
    "MaterializationError",
    "MaterializerError",
    "MemoryBackend",
    "MinioRegistryBackend",
    "Mount",
    "NameStats",
    "NoMaterializerError",
    "NotFound",
    "ObjectChangedError",
    "ObjectNotFoundError",
    "Progress",
    "Pruned",
    "ReadOnlyError",
    "Registry",
    "Report",
    "SourceChangedError",
    "SourceError",
    "SourceNotFoundError",
    "Stats",
    "StorageError",
    "StorageFullError",
    "StoragePermissionError",
    "StorageUnavailableError",
    "Store",
    "StoreAmbiguousObjectError",
    "StoreError",
    "StoreKeyFormatError",
    "StoreLocationNotFound",
    "StoreMountError",
    "Synced",
    "UnfinishedUpload",
    "UnknownClassError",
    "UnknownMaterializerError",
    "UnsafeStorageError",
    "UnsupportedFormatError",
    "UnsupportedSourceError",
    "Unsynced",
    "UntrustedError",
    "VersionConflictError",
    "VersionProtectedError",
    "__version__",
]
