"""What benchmarks write beside what they print: one JSON file each in `build/bench`, from which the table is made."""

import os
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec

PROJECT_ROOT = Path(__file__).resolve().parents[3]
RESULTS = PROJECT_ROOT / "build" / "bench"
TEST_PACKAGES = PROJECT_ROOT / ".venv" / "test-packages"  # FAISS lies here once `make test` has installed it
_BUSY = 0.1  # cores that other programs may use without a remark
NO_PEER = "none known"


class Row(msgspec.Struct):
    """One promise: `what` was measured and `promised`, its `figure`, and how the simplest honest way and a peer compare.

    `peer` is NO_PEER where no installable package does the same.
    """

    what: str
    promised: str
    figure: str
    simplest: str = ""
    peer: str = NO_PEER


class Result(msgspec.Struct):
    """The rows of one benchmark, with the machine and the day on which they were measured."""

    benchmark: str
    day: str
    machine: str
    remark: str
    rows: list[Row]


@dataclass
class _Clock:
    """Processor seconds of the whole machine and of this process with its children, from which those of others follow."""

    wall: float = field(default_factory=time.monotonic)
    machine: float = field(default_factory=lambda: _machine_seconds())
    own: float = field(default_factory=lambda: sum(os.times()[:4]))

    def cores_of_others(self) -> float:
        now = _Clock()
        others = now.machine - self.machine - (now.own - self.own)
        return max(0.0, others / max(now.wall - self.wall, 1e-9))


def _machine_seconds() -> float:
    if sys.platform != "linux":
        return 0.0
    # "cpu  user nice system idle iowait irq softirq …" in ticks; a guest's time is part of user and nice
    numbers = list(map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]))
    return (sum(numbers[:3]) + sum(numbers[5:8])) / os.sysconf("SC_CLK_TCK")


_STARTED = _Clock()


def write_result(benchmark: str, rows: Sequence[Row], remark: str | None = None) -> None:
    """Write the rows of a benchmark, called by the name of its script.

    Without a `remark`, it says what other programs used meanwhile, if that was more than little.
    """
    from dataengine_lib.core.files import write_json

    if remark is None:
        others = _STARTED.cores_of_others()
        remark = f"beside other work on {others:.1f} cores" if others > _BUSY else ""
    result = Result(benchmark, date.today().isoformat(), machine(), remark, list(rows))
    write_json(RESULTS / f"{benchmark}.json", result)


def machine() -> str:
    """Cores, memory, Python and torch: `2 cores, 24 GB, Python 3.11.7, torch 2.9.1+cpu`."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    import psutil

    memory = psutil.virtual_memory().total / 2**30
    return f"{cores} cores, {memory:.0f} GiB, Python {platform.python_version()}, torch {version('torch')}"


def installed(package: str, folder: Path = TEST_PACKAGES) -> bool:
    """Whether a peer's package can be imported, here or from the tests' folder, which is put on the path for it."""
    from importlib.util import find_spec

    if find_spec(package) is None and (folder / package).exists():
        sys.path.append(str(folder))
    return find_spec(package) is not None


def not_installed(package: str, how: str) -> str:
    """What stands in the table, and is printed, in place of a peer's figure."""
    line = f"{package} is not installed: {how}"
    print(line)
    return line


def peer_version(package: str) -> str:
    """`faiss-cpu 1.15.1`."""
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return package


def read_results(content: bytes) -> dict[str, Any]:
    """Results by their benchmark."""
    return {result.benchmark: result for result in msgspec.json.decode(content, type=list[Result])}
