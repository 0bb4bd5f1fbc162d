"""`Store`: many registries behind one API. From a location to a registry: routing only.

`store` is the facade. `routing` finds the mount that a key means: `keys` takes it apart, `mounts` has the mounts,
`config` says which there are at first, `discovery` asks them all. `batches` does it for lists of keys, `moving`
copies and moves from one mount to another.

from casreg import Registry, Store

store = Store(mounts={"a": Registry("some/folder"), "b": "another/folder"}, default_location="a")
store.save("a/my:model", model)
store.load("my:model")  # whichever mount has it
"""

from __future__ import annotations

from casreg.store.keys import StoreKey
from casreg.store.mounts import Mount
from casreg.store.store import Store

__all__ = ["Mount", "Store", "StoreKey"]
