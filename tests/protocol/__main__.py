"""Prints why a rule is there: `PYTHONPATH=tests python -m protocol STAMP`. Without a name it lists the rules."""

from __future__ import annotations

import sys

from protocol.rules import Rule
from protocol.scenarios import WITHOUT, explore

if __name__ == "__main__":
    names = sys.argv[1:]
    for rule in Rule:
        if rule.name in names:
            print(f"Without the rule that {rule.value}; {WITHOUT[rule]}:\n{explore(WITHOUT[rule], rule)}")
        elif not names:
            print(f"{rule.name:22} {rule.value}")
