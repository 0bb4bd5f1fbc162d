"""The benchmark: casreg beside the tools that it is measured against. Start it with ``python bench/run.py``."""

from __future__ import annotations
