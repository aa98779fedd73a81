"""What a measurement ran on: the machine, and the versions of everything that matters."""

import os
import platform
import statistics
import subprocess
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("grpcio", "uvloop", "protobuf", "sqlalchemy", "aiosqlite", "asyncpg")
ROOT = Path(__file__).parent.parent


def describe(folder: Path, database: str) -> dict[str, str]:
    """Tell about the machine and the versions; the disk is the one under `folder`."""
    return {
        "commit": _commit(),
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "memory": f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB",
        "disk": _sync_latency(folder),
        "load average at the start": ", ".join(f"{each:.2f}" for each in os.getloadavg()),
        "system": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
        "database": database,
    }


def processor_time() -> tuple[int, int]:
    """Tell how much time the processors have had in all, and how much of it the host gave to others; in ticks."""
    ticks = [int(each) for each in Path("/proc/stat").read_text().partition("\n")[0].split()[1:9]]
    return sum(ticks), ticks[7]  # user, nice, system, idle, iowait, irq, softirq, steal: see proc_stat(5)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _sync_latency(folder: Path) -> str:
    """Append 4 KiB and sync, 200 times: what a durable commit waits for at least."""
    milliseconds = []
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        for _ in range(200):
            start = time.perf_counter()
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
            milliseconds.append((time.perf_counter() - start) * 1e3)
    milliseconds.sort()
    return f"to write 4 KiB and sync: {statistics.median(milliseconds):.2f} ms median, {milliseconds[197]:.2f} ms p99"


def _commit() -> str:
    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    commit = git("rev-parse", "--short=12", "HEAD") or "unknown"
    return f"{commit}, with changes that are not committed" if git("status", "--porcelain", "cinema_grpc") else commit
