"""Values as a tree of JSON: plain where JSON loses nothing, tagged where it would.

`dump` writes a value into a folder as one JSON file, with arrays and long byte strings in files of their own
beside it; `load` reads it back.  A tag is a JSON object with one key that begins with `$`: `{"$tuple": [1, 2]}`.
The tags are a closed list (`docs/materializers.md` has them all); a stored tag never names code.
"""

from __future__ import annotations
