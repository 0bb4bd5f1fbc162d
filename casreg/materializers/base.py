"""What a materializer is: it turns one object into files, and the files back into an equal object.

A materializer never sees the storage.  `save` is given an `OutFolder` to put files into, `load` an `InFolder`
to read them from.  What `save` accepts, `load` in a fresh process with the same arguments and registrations
returns; whatever cannot come back, `save` refuses with `NoMaterializerError` or `UntrustedError` before a
byte is stored.  The same object gives the same bytes, in every process and under every hash seed, or
deduplication dies.  Loading runs no code that the stored bytes chose: no import by a stored name, no pickle
unless the caller asked for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from typing_extensions import Buffer

    from casreg.materializers.classes import ClassTable
    from casreg.materializers.table import MaterializerTable

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"
"""A value that JSON holds without loss."""


class OutFolder(Protocol):
    """What `Materializer.save` writes into: an empty folder in memory.

    Paths are relative, with `/` between parts (see `casreg.paths`).

    Attributes:
        params: Stored parameters, small JSON. `save` may set only the names that the materializer declares
            in its attribute `parameters`.
    """

    params: dict[str, JSON]

    @property
    def allow_pickle(self) -> bool:
        """The caller allows pickle, now and when loading."""
        ...

    @property
    def trusted(self) -> frozenset[str]:
        """Dotted names of the types that the caller trusts beyond casreg's own table."""
        ...

    @property
    def classes(self) -> ClassTable:
        """The classes that values may refer to."""
        ...

    @property
    def table(self) -> MaterializerTable:
        """The materializers that `put` chooses from."""
        ...

    def add(self, path: str, *buffers: Buffer) -> None:
        """Add a file whose bytes are the concatenation of `buffers`.

        The buffers are not copied and must stay unchanged until the save of the object has returned: this is
        how big arrays are stored without a second copy.

        Raises:
            MaterializationError: The path cannot be stored, or is taken.
        """
        ...

    def add_file(self, path: str, source: Path) -> None:
        """Add a file of the user's own disk, with its executable bit. It is streamed, never wholly in memory.

        Raises:
            MaterializationError: The path cannot be stored, or is taken.
            SourceNotFoundError: There is no such file.
            UnsupportedSourceError: `source` is not a regular file.
        """
        ...

    def add_tree(self, source: Path) -> None:
        """Add everything below a folder of the user's own disk: names, empty folders, executable bits.

        Raises:
            MaterializationError: A path is taken.
            SourceNotFoundError: There is no such folder.
            UnsupportedSourceError: Something in it is neither a file nor a folder, or has a name that cannot be
                stored.
        """
        ...

    def put(self, path: str, obj: object) -> JSON:
        """Save a part of the object, of any kind that the caller's registry can save, below the folder `path`.

        The part goes to the materializer of its own class, with the caller's registrations. It is never pickled
        by itself: let `NoMaterializerError` pass, and where the caller allows pickle the whole object is.

        Returns:
            What `InFolder.take` wants to have back, small JSON: keep it in `params` or in a file.

        Raises:
            NoMaterializerError: Nothing can save it so that it could be loaded again; or it is a path.
            UntrustedError: Loading it would need something that the caller has not allowed.
            MaterializationError: Its materializer failed, or a path cannot be stored or is taken.
            InvalidMetadataError: Its parameters are no JSON.
        """
        ...

    def __truediv__(self, path: str) -> Path:
        """A real path in a temporary folder, for libraries that want one; its parent folder exists.

        Whatever is in the temporary folder when `save` returns is stored.
        """
        ...


class InFolder(Protocol):
    """What `Materializer.load` reads from. Every byte is verified before it is handed out."""

    @property
    def paths(self) -> Sequence[str]:
        """Paths of all files, sorted by their UTF-8 bytes."""
        ...

    @property
    def params(self) -> Mapping[str, JSON]:
        """Parameters as they were stored. They never relax safety."""
        ...

    @property
    def allow_pickle(self) -> bool:
        """The caller allows pickle, now and when loading."""
        ...

    @property
    def trusted(self) -> frozenset[str]:
        """Dotted names of the types that the caller trusts beyond casreg's own table."""
        ...

    @property
    def classes(self) -> ClassTable:
        """The classes that values may refer to."""
        ...

    @property
    def into(self) -> object | None:
        """The folder that a loaded path is to be put into; for others the object to fill, or None (see `Materializer`)."""
        ...

    def size(self, path: str) -> int:
        """Bytes of the file.

        Raises:
            MaterializationError: There is no such file in the version.
        """
        ...

    def read(self, path: str) -> memoryview:
        """The whole file in one freshly allocated, writable buffer.

        Raises:
            MaterializationError: There is no such file in the version.
            CorruptError: Its bytes are not those that were stored.
        """
        ...

    def read_into(self, path: str, buffer: Buffer) -> None:
        """Read the whole file into `buffer`, a writable contiguous one of exactly the file's size.

        Raises:
            MaterializationError: There is no such file in the version, or the buffer has another size.
            CorruptError: Its bytes are not those that were stored.
        """
        ...

    def extract(self, into: Path, below: str = "") -> None:
        """Write all files and empty folders below `into`; with `below` only those of that folder, without its name.

        Raises:
            DestinationError: `into` is not empty, or two paths would be one there.
        """
        ...

    def take(self, path: str, stored: JSON) -> object:
        """Load the part that `OutFolder.put` saved below the folder `path`; `stored` is what it returned.

        The materializer is looked up by its id among the caller's own; nothing is imported.

        Raises:
            MaterializationError: The files are not what the part's materializer writes, or `stored` is not what
                `put` returns.
            UnknownMaterializerError: This process has no materializer with that id.
            UntrustedError: Pickle or a type would be needed that the caller has not allowed.
            UnknownClassError: A class would be needed that is not registered.
        """
        ...

    def __truediv__(self, path: str) -> Path:
        """That file, extracted to a temporary folder, for libraries that want a real path.

        Raises:
            MaterializationError: There is no such file in the version.
        """
        ...


class Materializer(Protocol):
    """Turns objects of some types into files and back. Duck-typed: no base class, nothing to inherit.

    An optional attribute `parameters`, a tuple of names, declares the parameters that `save` may store;
    without it none may be, and a version that has others is refused when it is loaded.

    An optional attribute `into`, a tuple of classes or their dotted names, says which objects `load` can fill with
    what is stored: `InFolder.into` is then the caller's `into=`, an instance of one of them or of a subclass, or None.
    Without it, `into=` is refused. `load` checks that everything fits before it changes the object, and returns it.

    Attributes:
        id: Names the stored form, with its version: `"numpy.ndarray/1"`. It is what a stored version says
            about how to load it; a new form gets a new id.
        types: The classes it is for, or their dotted names, so that nothing heavy is imported before use.
    """

    # Read-only, so that a class whose attributes have narrower types is one; `Any`, so that `save` may name its class.
    @property
    def id(self) -> str: ...  # noqa: D102 - above
    @property
    def types(self) -> tuple[type | str, ...]: ...  # noqa: D102 - above

    def save(self, obj: Any, folder: OutFolder) -> None:
        """Put `obj` into `folder`.

        Raises:
            NoMaterializerError: `obj` could not be loaded again.
            UntrustedError: Loading it would need pickle or a type that the caller has not allowed.
        """
        ...

    def load(self, folder: InFolder, cls: type | None) -> object:
        """Give back an object equal to the saved one, of the same type.

        `cls` is the caller's `as_=`, the class of the result where the value needs one.

        Raises:
            MaterializationError: The files are not what `save` writes.
            UntrustedError: Pickle or a type would be needed that the caller has not allowed.
            UnknownClassError: A class would be needed that is not registered.
        """
        ...
