"""From a local folder of mindtrace-registry (0.7 to 0.16) into a registry. Needs the extra `mindtrace` (PyYAML).

`folders` knows how such a folder is laid out, `objects` turns its files into Python objects where that is safe, and
`importing` brings them over, item by item. The package itself is not needed, and nothing of it is imported.
"""

from __future__ import annotations

from casreg.mindtrace.importing import ImportedItem, import_mindtrace

__all__ = ["ImportedItem", "import_mindtrace"]
