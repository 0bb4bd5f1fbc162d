"""Objects to files, and back. See `casreg.materializers.base` for what a materializer is."""

from __future__ import annotations

from casreg.materializers.base import JSON, InFolder, Materializer, OutFolder
from casreg.materializers.builtin import BUILTIN
from casreg.materializers.calls import Materialized, load_object, materialize
from casreg.materializers.classes import ClassTable
from casreg.materializers.folders import DiskFile, EmptyFolder, Entry, MemoryFile, Outgoing
from casreg.materializers.table import MaterializerTable

__all__ = [
    "BUILTIN",
    "JSON",
    "ClassTable",
    "DiskFile",
    "EmptyFolder",
    "Entry",
    "InFolder",
    "Materialized",
    "Materializer",
    "MaterializerTable",
    "MemoryFile",
    "OutFolder",
    "Outgoing",
    "load_object",
    "materialize",
]
