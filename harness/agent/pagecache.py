"""Whether a model's files lie in memory when it is loaded: what the kernel keeps of files that were read."""

import ctypes
import mmap
import os
from typing import Iterable, Optional


def drop(paths: Iterable[str]) -> str:
    """Ask the kernel to forget the files, and return how they are then found: `cold`, `warm`, or `unknown`.

    It needs no rights but those of the file's owner. A file that another process maps, or that lies in memory anyway
    (tmpfs), stays.
    """
    shares = [_dropped(path) for path in paths]
    if all(share == 0 for share in shares):
        return "cold"
    return "warm" if all(share == 1 for share in shares) else "unknown"


def _dropped(path: str) -> Optional[float]:
    try:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)  # what is not on the disk yet cannot be forgotten
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            return resident(handle)
        finally:
            os.close(handle)
    except (OSError, AttributeError, ValueError):  # a system without it
        return None


def resident(handle: int) -> Optional[float]:
    """Return the share of an open file's pages that lie in memory; None where the kernel does not tell.

    Only who may write a file is told. The mapping is private, so that nothing can be written through it, and reads
    nothing. Raises OSError, ValueError for an empty file.
    """
    size, may_write = os.fstat(handle).st_size, os.access("/proc/self/fd/{}".format(handle), os.W_OK)
    if not may_write:
        return None
    pages = (ctypes.c_ubyte * -(-size // mmap.PAGESIZE))()
    with mmap.mmap(handle, size, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE) as mapped:
        start = (ctypes.c_char * size).from_buffer(mapped)
        code = ctypes.CDLL(None).mincore(ctypes.byref(start), ctypes.c_size_t(size), pages)
        del start  # the mapping cannot be closed before
    return sum(page & 1 for page in pages) / len(pages) if code == 0 else None
