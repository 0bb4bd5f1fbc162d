"""Verification and healing: is everything that a ref leads to there, and is every byte what was written?

`survey` looks at names, manifests, lists and tables, `check_packs` at every byte of packs; `verify` does what is asked
for of both and looks at all the rest. They only read. `heal` writes what is damaged anew, from another copy. What was
damaged is never written over: files get new names, and refs are swung to them.

`verification` is all of the first: `survey` goes through names, with `histories` (one name), `structure` (one version) and
`tables` (of packs); `roots` looks at what belongs to no version, `checking` reads packs; `findings` holds what is found until
`report` says it. `healing` is all of the second: `supply` has chunks from wherever they are whole, which `shelf` finds in
packs; `rebuilding` writes a version anew, `recovering` brings refs back, `heads` the marker and the collector's head;
`uploads` takes away what held a save that is not finished.
"""

from __future__ import annotations

from casreg.verify.healing import heal
from casreg.verify.report import Damage, Healing, Left, Report
from casreg.verify.survey import Survey, check_packs, survey
from casreg.verify.verification import verify

__all__ = ["Damage", "Healing", "Left", "Report", "Survey", "check_packs", "heal", "survey", "verify"]
