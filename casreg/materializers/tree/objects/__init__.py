"""Objects by their attributes: scikit-learn's through a reviewed table, others that the caller trusts.

An object is rebuilt as an empty one of its class whose attributes are set; no method of it runs.  Native
state, that could make compiled code read or write out of bounds, is never restored as it stands: it is rebuilt
by the constructors of the library from arguments that `casreg.materializers.tree.objects.checks_*` has checked.
"""

from __future__ import annotations
