"""One repository: chunks, manifests and refs over one backend. Knows bytes and names, not Python objects.

`repository` is what all share. A save is in `saving`: `searching` finds the chunks that are there, `proving` sees
that all exists that the version needs, `committing` decides which version it becomes, by what `conflicts` says of one
that exists, and `uploads` holds what a long save has written. Whoever reads finds a version by `finding`, and one of
its files by `opening`. `editing` changes what a ref says of its versions, `swinging` which files these have. `probe`
sees before the first write whether the place is fit for it.
"""

from __future__ import annotations

from casreg.repository.repository import Repository

__all__ = ["Repository"]
