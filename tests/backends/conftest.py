"""The contract suite is shipped with the package: its asserts explain themselves only if pytest is told."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("casreg.testing.backend_contract", "casreg.testing.counter_race")
