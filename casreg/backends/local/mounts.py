"""Which file systems are shared over a network, and so cache what other machines may have changed.

On NFS, SMB and most file systems in user space, listings and attributes are cached per machine: one machine may
not see at once what another has written.  The kernel's list of mounts says what a folder is on (Linux); on
Windows a share's path does, or the type of its drive.  Elsewhere nothing is known, and `shared_fs=True` is the
way to say it.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Final

MOUNTS: Final = "/proc/self/mountinfo"

_NETWORK: Final = frozenset(
    {
        "9p", "acfs", "afp", "afpfs", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "fuse", "gfs", "gfs2",
        "glusterfs", "gpfs", "kafs", "lustre", "ncpfs", "nfs", "nfs3", "nfs4", "ocfs2", "orangefs", "panfs",
        "prl_fs", "pvfs2", "smb2", "smb3", "smbfs", "vboxsf", "virtiofs", "vmhgfs", "webdav",
    }
)  # fmt: skip
# `fuse.sshfs`, `fuse.s3fs` and the like. `fuseblk` is a local disk (NTFS, exFAT) and is not among them.
_IN_USER_SPACE: Final = "fuse."
_OCTAL: Final = re.compile(r"\\([0-7]{3})")
_REMOTE_DRIVE: Final = 4


def network_file_system(path: str, mounts: str = MOUNTS) -> str | None:
    """The type of the network file system that `path` (or its nearest existing parent) is on, or None.

    Args:
        path: Any path; it need not exist.
        mounts: The kernel's list of mounts, in the format of Linux' `mountinfo` (proc(5)).
    """
    resolved = os.path.realpath(path)
    if sys.platform == "win32":
        return _windows_share(resolved)
    else:  # noqa: RET505 - for the type checker, which knows platforms by their branches
        try:
            lines = Path(mounts).read_text("utf-8", "surrogateescape").splitlines()
        except OSError:
            return None  # not Linux, or no /proc in this container: nothing is known
        kind = _type_of_mount(resolved, lines)
        return kind if kind in _NETWORK or kind.startswith(_IN_USER_SPACE) else None


def _type_of_mount(path: str, lines: list[str]) -> str:
    """The type of the mount that holds `path`: the longest mount point above it, of equals the last one."""
    best, kind = -1, ""
    for line in lines:
        mount, _, source = line.partition(" - ")
        fields = mount.split(" ")
        if len(fields) < 5 or not source:
            continue
        point = _OCTAL.sub(lambda match: chr(int(match[1], 8)), fields[4])
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= best:
            best, kind = len(point), source.split(" ")[0]
    return kind


def _windows_share(path: str) -> str | None:
    if path.startswith(("\\\\", "//")):
        return "smb"
    if sys.platform == "win32":
        import ctypes  # noqa: PLC0415 - only there

        drive = os.path.splitdrive(path)[0]
        if ctypes.windll.kernel32.GetDriveTypeW(drive + "\\") == _REMOTE_DRIVE:
            return "smb"
    return None
