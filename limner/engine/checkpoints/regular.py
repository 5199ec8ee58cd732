"""Files opened only where they are files: to open a pipe is to wait for whoever writes."""

from __future__ import annotations

import errno
import stat
from pathlib import Path
from typing import BinaryIO


def opened(path: Path) -> BinaryIO:
    """A file, to be read. Raises OSError where it is gone, or a folder, a pipe or a device."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "It is not a file", str(path))
    return path.open("rb")
