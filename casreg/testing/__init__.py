"""For tests, ours and those of whoever writes a backend: contract suites, and backends that misbehave on purpose.

    BackendContract                     what every backend promises, as a pytest class
    RecordingBackend, Call              which calls were made, and how many bytes went each way
    FaultBackend, Fault, until_clean    calls that fail before, fail after, happen twice, or late
    explore, SchedulerBackend           every interleaving of a few actors, at their backend calls
    CrashRecorder, replay_crashes       every state that a power failure can leave of a folder
    casreg.testing.simulated            file systems that this machine does not have

Nothing of casreg imports this.  The suites need pytest, which is loaded only with them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from casreg.testing.backend_contract import BackendContract
    from casreg.testing.crashes import (
        CrashRecorder,
        CrashState,
        CrashStateError,
        crash_states,
        replay_crashes,
    )
    from casreg.testing.faults import Fault, FaultBackend, FaultKind, until_clean
    from casreg.testing.recording import Call, CallLog, RecordingBackend
    from casreg.testing.scheduler import (
        Exploration,
        ScheduleError,
        Scheduler,
        SchedulerBackend,
        explore,
        explore_at_random,
        replay,
    )
else:
    # Hidden from type checkers, for which a module with `__getattr__` would have every attribute.
    _MODULES = {
        "BackendContract": "backend_contract",
        "Call": "recording",
        "CallLog": "recording",
        "CrashRecorder": "crashes",
        "CrashState": "crashes",
        "CrashStateError": "crashes",
        "Exploration": "scheduler",
        "Fault": "faults",
        "FaultBackend": "faults",
        "FaultKind": "faults",
        "RecordingBackend": "recording",
        "ScheduleError": "scheduler",
        "Scheduler": "scheduler",
        "SchedulerBackend": "scheduler",
        "crash_states": "crashes",
        "explore": "scheduler",
        "explore_at_random": "scheduler",
        "replay": "scheduler",
        "replay_crashes": "crashes",
        "until_clean": "faults",
    }

    def __getattr__(name: str) -> object:
        """Load the module of `name` when it is first asked for."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


__all__ = [
    "BackendContract",
    "Call",
    "CallLog",
    "CrashRecorder",
    "CrashState",
    "CrashStateError",
    "Exploration",
    "Fault",
    "FaultBackend",
    "FaultKind",
    "RecordingBackend",
    "ScheduleError",
    "Scheduler",
    "SchedulerBackend",
    "crash_states",
    "explore",
    "explore_at_random",
    "replay",
    "replay_crashes",
    "until_clean",
]
