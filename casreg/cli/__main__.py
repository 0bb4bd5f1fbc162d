"""`python -m casreg.cli` is `casreg`."""

from __future__ import annotations

from casreg.cli.start import main

if __name__ == "__main__":
    main()
