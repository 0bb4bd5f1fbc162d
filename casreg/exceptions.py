"""Every error that casreg raises, in one tree.

    CasregError
    ├── InvalidNameError (ValueError)            a name, or name@version, that cannot be
    ├── InvalidVersionError (ValueError)         a version, tag or range that cannot be
    ├── InvalidArgumentError (ValueError)        arguments that do not fit together
    ├── InvalidMetadataError (ValueError)        metadata or notes that JSON cannot hold without loss
    ├── ObjectNotFoundError (KeyError, ValueError)   no such name, version, tag, or nothing in the range
    ├── VersionConflictError (ValueError)        the version exists with other content
    ├── VersionProtectedError (ValueError)       the version is protected: unprotect it first
    ├── ReadOnlyError (PermissionError)          a read-only mount, or a bundle, that was to be changed
    ├── ConfigError (ValueError)                 the configuration file or the environment cannot be understood
    ├── StoreError                               (stores)
    │   ├── StoreKeyFormatError (ValueError)     a key without a location where one is needed, or no key at all
    │   ├── StoreLocationNotFound (KeyError, ValueError)  no mount has this location
    │   ├── StoreAmbiguousObjectError (ValueError)  several mounts have the name; lists them
    │   └── StoreMountError                      a mount could not be asked; names it, and who else has the name
    ├── MaterializerError
    │   ├── NoMaterializerError (TypeError, ValueError)   nothing knows how to save this object
    │   ├── UnknownMaterializerError             stored with a materializer that this process does not know
    │   ├── UnknownClassError                    stored value needs a class that is not registered here
    │   ├── UntrustedError                       loading it could run code; the caller did not allow that
    │   └── MaterializationError (ValueError)    the object or the stored files are not what they must be
    ├── SourceError
    │   ├── SourceNotFoundError (FileNotFoundError)  the path to save does not exist
    │   ├── SourceChangedError                   a file changed while it was read
    │   └── UnsupportedSourceError (ValueError)  a socket, a device, a name that is not UTF-8, …
    ├── DestinationError (OSError)               `into=` cannot be loaded into: not an empty folder, full, …
    ├── CorruptError                             stored bytes are not what was written
    ├── UnsupportedFormatError                   written by a newer casreg
    ├── ObjectChangedError                       changed by somebody else meanwhile: overwritten while it was read
    ├── CommitConflictError                      others kept winning until the time for retries was over
    ├── CommitUnknownError                       the answer was lost; whether the commit happened is not known
    └── StorageError                             the storage said no, or nothing
        ├── NotFound                             (backends) no such key
        ├── AlreadyExists                        (backends) the key exists
        ├── Conflict                             (backends) the key is in another state
        ├── StorageFullError                     no space, or over quota
        ├── StoragePermissionError               not allowed
        ├── StorageUnavailableError              cannot be reached, or failed
        ├── UnsafeStorageError                   does not honour conditional writes, or a file system that may not
        └── LockTimeoutError (TimeoutError)      another process holds the lock; says which

Each message names the thing and the way out.  Errors pickle.  What went wrong below is `__cause__`.
"""

from __future__ import annotations


class CasregError(Exception):
    """The root of all errors of casreg. `str()` is the message, also where a `KeyError` is among the parents."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message)

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class InvalidNameError(CasregError, ValueError):
    """A name, or `name@version`, that cannot be."""


class InvalidVersionError(CasregError, ValueError):
    """A version, tag or range that cannot be."""


class InvalidArgumentError(CasregError, ValueError):
    """Arguments that do not fit together, or a value outside what is allowed."""


class InvalidMetadataError(CasregError, ValueError):
    """Metadata, notes or parameters that JSON cannot hold without loss (NaN, Inf, huge integers, other types)."""


class ObjectNotFoundError(CasregError, KeyError, ValueError):
    """No such name, version or tag, or no version in the range."""


class VersionConflictError(CasregError, ValueError):
    """The version exists with other content, and the registry is not mutable."""


class VersionProtectedError(CasregError, ValueError):
    """The version is protected from deletion and from being replaced. `unprotect` it first."""


class ReadOnlyError(CasregError, PermissionError):
    """A place that is mounted read-only, or a bundle, was to be changed."""


class ConfigError(CasregError, ValueError):
    """The configuration file, or a variable of the environment, cannot be understood. Names it and the entry."""


class StoreError(CasregError):
    """The root of what only stores raise."""


class StoreKeyFormatError(StoreError, ValueError):
    """A key without a location where one is needed, or no key at all."""


class StoreLocationNotFound(StoreError, KeyError, ValueError):  # noqa: N818 - the name that users of stores know
    """No mount has this location."""


class StoreAmbiguousObjectError(StoreError, ValueError):
    """Several mounts have an object of this name.

    Attributes:
        locations: The locations that have it, sorted.
    """

    def __init__(self, message: str = "", locations: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.locations = locations


class StoreMountError(StoreError):
    """A mount could not be asked, so that where the object is cannot be said for certain.

    Attributes:
        locations: The locations that failed, sorted.
        found: The qualified keys under which the object was found elsewhere, sorted.
    """

    def __init__(
        self, message: str = "", locations: tuple[str, ...] = (), found: tuple[str, ...] = ()
    ) -> None:
        super().__init__(message)
        self.locations = locations
        self.found = found


class MaterializerError(CasregError):
    """An object could not be turned into files, or files into an object."""


class NoMaterializerError(MaterializerError, TypeError, ValueError):
    """Nothing knows how to save this object so that a new process could load it."""


class UnknownMaterializerError(MaterializerError):
    """The version was stored with a materializer whose id this process does not know."""


class UnknownClassError(MaterializerError):
    """The stored value needs a class that is not registered in this process."""


class UntrustedError(MaterializerError):
    """Loading (or saving) this needs pickle or a type that the caller has not allowed."""


class MaterializationError(MaterializerError, ValueError):
    """The object, or the stored files, are not what the materializer can work with."""


class SourceError(CasregError):
    """A file or folder that was to be saved cannot be read as it should."""


class SourceNotFoundError(SourceError, FileNotFoundError):
    """The path to save does not exist."""


class SourceChangedError(SourceError):
    """A file changed while it was read: nothing was saved, since a mixture of two states is no version."""


class UnsupportedSourceError(SourceError, ValueError):
    """Not a regular file or folder, or a name that cannot be stored."""


class DestinationError(CasregError, OSError):
    """The place to load into is no empty folder, cannot be written, or would make two stored paths one file."""


class CorruptError(CasregError):
    """Stored bytes are not what was written. Names the file, and in a pack the chunk."""


class UnsupportedFormatError(CasregError):
    """Written by a newer casreg, or with a feature that this one does not know."""


class ObjectChangedError(CasregError):
    """The object was overwritten while it was being read, or is not as the caller has seen it."""


class CommitConflictError(CasregError):
    """Other writers kept winning until the time for retries was over. Nothing was committed."""


class CommitUnknownError(CasregError):
    """The storage's answer was lost and it cannot be read back: the commit may have happened or not.

    Attributes:
        write: The id of the write, 32 hexadecimal characters, by which it can be recognised later.
    """

    def __init__(self, message: str = "", write: str = "") -> None:
        super().__init__(message)
        self.write = write


class StorageError(CasregError):
    """The storage refused or failed."""


class NotFound(StorageError):  # noqa: N818 - an answer rather than an error; the word is the field's own
    """There is no such key."""


class AlreadyExists(StorageError):  # noqa: N818 - as above
    """The key exists."""


class Conflict(StorageError):  # noqa: N818 - as above
    """The key is not in the expected state."""


class StorageFullError(StorageError):
    """No space is left, or a quota is reached."""


class StoragePermissionError(StorageError):
    """The storage does not allow it."""


class StorageUnavailableError(StorageError):
    """The storage cannot be reached, or failed."""


class UnsafeStorageError(StorageError):
    """The storage does not honour conditional writes, so that commits could be lost."""


class LockTimeoutError(StorageError, TimeoutError):
    """Another process has held a lock for too long. Names that process."""
