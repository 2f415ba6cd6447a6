"""How long `dataengine --help` takes, whether plan and doctor import torch, and how large what a run needs is on the disk.

Run by `make bench`. The size is that of the installed files of the package's own dependencies and of theirs, without
extras, as `make demo` installs them.
"""

import argparse
import re
import resource
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

from packaging.requirements import Requirement
from table.results import PROJECT_ROOT, Row, write_result

START_S, INSTALL_GB = 0.4, 1.5
PROGRAM = Path(sys.executable).with_name("dataengine")


def started(turns: int) -> tuple[float, float]:
    """Least seconds by the clock, and of processors, of `dataengine --help`."""
    found = []
    for _ in range(turns):
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run([PROGRAM, "--help"], cwd=PROJECT_ROOT, capture_output=True, check=True)
        took, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
        found.append((took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime))
    return min(one for one, _ in found), min(one for _, one in found)


def imports_torch(*verb: str) -> bool:
    """Whether this verb imports torch, by the interpreter's own list of imports."""
    command = [sys.executable, "-X", "importtime", "-m", "dataengine_lib.cli", *verb]
    done = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)
    return bool(re.search(r"\| +torch$", done.stderr, re.MULTILINE))


def needed(name: str, found: dict[str, int]) -> dict[str, int]:
    """Bytes of a distribution and of all that it needs, by name; those for other machines are passed over."""
    key = re.sub(r"[-_.]+", "-", name).lower()
    if key in found:
        return found
    try:
        package = distribution(name)
    except PackageNotFoundError:
        return found
    found[key] = sum(file.size or 0 for file in package.files or ())
    for line in package.requires or ():
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            needed(requirement.name, found)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=5)
    seconds, processor = started(parser.parse_args().turns)
    with_torch = [verb for verb in ("plan", "doctor") if imports_torch(verb, "params/demo.yaml")]
    sizes = needed("mllm-dataengine", {})
    total = sum(sizes.values()) / 1e9
    largest = sorted(sizes, key=lambda name: -sizes[name])[:3]
    named = ", ".join(f"{name} {sizes[name] / 1e6:.0f} MB" for name in largest)
    by = " and ".join(with_torch) or "neither of plan and doctor"
    print(f"dataengine --help: {seconds:.2f} s, {processor:.2f} s of processor; torch is imported by {by}; "
          f"{len(sizes)} packages of {total:.2f} GB, most of it {named}")  # fmt: skip
    write_result("start_and_install", [
        Row("dataengine --help", f"below {START_S} s", f"{seconds:.2f} s, {processor:.2f} s of processor"),
        Row("plan and doctor without torch", "neither imports it", f"imported by {by}"),
        Row("what a run needs on the disk", f"at most {INSTALL_GB} GB",
            f"{total:.2f} GB, {len(sizes)} packages, most of it {named}"),
    ])  # fmt: skip
    if seconds > START_S or with_torch or total > INSTALL_GB:
        sys.exit(f"more than {START_S} s or {INSTALL_GB} GB, or torch is imported")


if __name__ == "__main__":
    main()
