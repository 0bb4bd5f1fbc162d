"""The contract, on every backend and wrapper that there is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from casreg.backends.local import LocalBackend
from casreg.backends.memory import MemoryBackend
from casreg.testing import BackendContract, FaultBackend, RecordingBackend, Scheduler, SchedulerBackend
from casreg.testing.simulated import NetworkFileSystem, NoHardLinks, WindowsFileSystem

if TYPE_CHECKING:
    from pathlib import Path

    from casreg.backends.base import Backend


class TestMemory(BackendContract):
    shared_by_processes = False

    def make_backend(self, folder: Path) -> Backend:
        return MemoryBackend()


class TestNamedMemory(BackendContract):
    shared_by_processes = False

    def make_backend(self, folder: Path) -> Backend:
        return MemoryBackend(str(folder))

    def reopen(self, backend: Backend) -> Backend:
        return MemoryBackend(backend.location.removeprefix("memory://"))


class TestLocal(BackendContract):
    def make_backend(self, folder: Path) -> Backend:
        return LocalBackend(folder / "repository")

    def reopen(self, backend: Backend) -> Backend:
        return LocalBackend(backend.location)


class TestLocalWithoutHardLinks(BackendContract):
    def make_backend(self, folder: Path) -> Backend:
        return LocalBackend(folder, file_system=NoHardLinks())


class TestLocalOnANetworkFileSystem(BackendContract):
    def make_backend(self, folder: Path) -> Backend:
        return LocalBackend(folder, shared_fs=True, file_system=NetworkFileSystem())


class TestLocalOnWindows(BackendContract):
    shared_by_processes = False  # what other processes have open is not simulated

    def make_backend(self, folder: Path) -> Backend:
        return LocalBackend(folder, file_system=WindowsFileSystem())

    def reopen(self, backend: Backend) -> Backend:
        return backend


class TestFaultsWithoutFaults(BackendContract):
    shared_by_processes = False  # as its inner backend

    def make_backend(self, folder: Path) -> Backend:
        return FaultBackend(MemoryBackend())


class TestRecording(BackendContract):
    shared_by_processes = False  # as its inner backend

    def make_backend(self, folder: Path) -> Backend:
        return RecordingBackend(MemoryBackend())


class TestSchedulerWithoutActors(BackendContract):
    shared_by_processes = False
    pickles = False

    def make_backend(self, folder: Path) -> Backend:
        return SchedulerBackend(MemoryBackend(), Scheduler())
