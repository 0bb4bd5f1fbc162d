"""Anything, by pickle: only when the caller allows it, when saving and when loading."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, ClassVar, Final

from casreg.exceptions import MaterializationError, NoMaterializerError, UntrustedError
from casreg.materializers.classes import dotted

if TYPE_CHECKING:
    from casreg.materializers.base import InFolder, OutFolder

FILE: Final = "data.pkl"
_PROTOCOL: Final = 5  # out-of-band buffers, in every Python that casreg knows


class PythonPickle:
    """The pickle of an object in `data.pkl`, its large buffers uncopied in files beside it.

    Unpickling runs whatever code the data names.  That the same object gives the same bytes is up to the
    classes that are pickled.
    """

    id: ClassVar[str] = "python.pickle/1"
    types: tuple[type | str, ...] = ()

    def save(self, obj: object, folder: OutFolder) -> None:
        """See `Materializer.save`.

        Raises:
            UntrustedError: The caller does not allow pickle.
            NoMaterializerError: The object cannot be pickled.
        """
        if not folder.allow_pickle:
            raise UntrustedError(
                "pickle is not allowed here; pass `allow_pickle=True` to save, and again to load"
            )
        buffers: list[pickle.PickleBuffer] = []
        try:
            data = pickle.dumps(obj, protocol=_PROTOCOL, buffer_callback=buffers.append)
        except Exception as err:  # whatever the object's own code raises
            raise NoMaterializerError(f"a {dotted(type(obj))} cannot be pickled: {err}") from err
        folder.add(FILE, data)
        for at, buffer in enumerate(buffers):
            folder.add(_buffer_path(at), buffer.raw())

    def load(self, folder: InFolder, cls: type | None) -> object:  # noqa: ARG002 - the protocol's signature
        """See `Materializer.load`.

        Raises:
            UntrustedError: The caller does not allow pickle.
            MaterializationError: It cannot be unpickled.
        """
        if not folder.allow_pickle:
            raise UntrustedError(
                "this version is a pickle, and loading it runs the code that it names; if you trust whoever wrote it, "
                "pass `allow_pickle=True`"
            )
        wanted = [_buffer_path(at) for at in range(len(folder.paths) - 1)]
        if sorted([FILE, *wanted]) != sorted(folder.paths):
            raise MaterializationError(f"the version should be a pickle, but holds {list(folder.paths)[:5]}")
        buffers = [folder.read(path) for path in wanted]
        try:
            return pickle.loads(folder.read(FILE), buffers=buffers)  # noqa: S301 - the caller allows it
        except Exception as err:  # whatever the object's own code raises
            hint = (
                "; it names what the script or notebook that saved it had defined: define that here as well, or save it "
                "again from a module that both import"
                if "__main__" in str(err)
                else ""
            )
            raise MaterializationError(
                f"the stored pickle cannot be loaded: {type(err).__name__}: {err}{hint}"
            ) from err


def _buffer_path(at: int) -> str:
    return f"buffers/{at}.bin"
