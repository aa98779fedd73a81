"""What the operating system reports of a process: its memory, and its open files and sockets."""

import os
from collections.abc import Sequence
from pathlib import Path
from statistics import linear_regression

MEBIBYTE = 1024 * 1024


def memory(process_id: int) -> int:
    """Return the memory that a process uses, in bytes."""
    pages = int(Path(f"/proc/{process_id}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def open_files(process_id: int) -> int:
    """Return the number of files, sockets and pipes that a process has open."""
    return sum(1 for _ in Path(f"/proc/{process_id}/fd").iterdir())


def growth(samples: Sequence[int]) -> float:
    """Return by how many bytes memory grew over the second half of samples that were taken at even intervals.

    The first half is left out: until then caches fill, and the allocator finds out how much it needs. A line is laid
    through the rest, so that no single sample decides.
    """
    rest = samples[len(samples) // 2 :]
    return linear_regression(range(len(rest)), rest).slope * (len(rest) - 1)
