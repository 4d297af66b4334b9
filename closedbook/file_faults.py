"""Faults of file systems, whoever raises them: disks that are full, files that may not be written.

TensorStore and Orbax tell them as texts of exceptions of other kinds, raised in other threads.
"""

import dataclasses
import errno
import os
import re

from closedbook.buckets.client import fault_in
from closedbook.errors import causes

_FULL = (errno.ENOSPC, errno.EDQUOT)
# As TensorStore writes: Failed to write 5 bytes to file 29: File too large [os_error_code='27']
_NUMBER = re.compile(r"\[os_error_code='(\d+)'|\[OS error (\d+):")
_QUOTED = re.compile(r'(?:local file|writing:|reading:|opening file:|path:)? ?"(/[^"]+)"')
_REMEDIES = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space of your quota",
    errno.EFBIG: "raise the limit of a file's size (ulimit -f)",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.EROFS: "give a folder that can be written to",
}


@dataclasses.dataclass(frozen=True)
class FileFault:
    """A fault of a file system.

    Attributes:
        number: Of `errno`; 0 if unknown.
        reason: Its words, such as "Permission denied".
        path: The file or folder; "" if unknown.
    """

    number: int
    reason: str
    path: str

    @property
    def is_full(self) -> bool:
        """Whether the disk, or somebody's part of it, is full."""
        return self.number in _FULL

    @property
    def remedy(self) -> str:
        """What to do, or ""."""
        return _REMEDIES.get(self.number, "")

    @property
    def message(self) -> str:
        """One line for people."""
        place = self.path or "a file, or the output, cannot be written or read"
        return f"{place}: " + self.reason + (f"; {self.remedy}" if self.remedy else "")


def file_fault(error: BaseException, *, contexts: bool = False) -> FileFault | None:
    """The fault of a file system that an exception tells of, or that it was raised from.

    Args:
        error: Any exception; its causes and the parts of a group are looked at.
        contexts: Also look at what was being handled when it was raised.
    """
    for each in causes(error, contexts=contexts):
        if isinstance(each, OSError) and each.errno is not None:
            path = each.filename2 or each.filename
            shown = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else ""
            return FileFault(each.errno, each.strerror or str(each), shown)
        text = str(each)
        if bucket := fault_in(text):
            return FileFault(bucket.errno or 0, str(bucket.strerror), str(bucket.filename))
        number = _NUMBER.search(text)
        code = int(number.group(1) or number.group(2)) if number else 0
        if not code and "No space left on device" in text:
            code = errno.ENOSPC
        if not code and "Disk quota exceeded" in text:
            code = errno.EDQUOT
        if code:
            paths = _QUOTED.findall(text)
            return FileFault(code, os.strerror(code), paths[-1] if paths else "")
    return None
