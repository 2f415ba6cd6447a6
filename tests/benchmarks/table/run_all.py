"""Runs every benchmark, one after the other, then makes docs/benchmarks.md: what `make bench` does.

    python tests/benchmarks/table/run_all.py [NAME …]

With names only these. A benchmark that misses what it promises, or fails, does not stop the others; all that did are named
at the end, and the status is 1.
"""

import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from table import render
from table.scripts import names, script_of


def run_all(wanted: list[str]) -> list[str]:
    """Run these benchmarks; the names of those that ended with another status than 0."""
    failed = []
    scripts = [script_of(name) for name in wanted]  # before the first one runs, which may take minutes
    for number, (name, script) in enumerate(zip(wanted, scripts, strict=True), 1):
        print(f"[{number}/{len(wanted)}] {name}", flush=True)
        if subprocess.run([sys.executable, "-W", "ignore", str(script)], check=False).returncode:
            failed.append(name)
    return failed


def main() -> None:
    wanted = sys.argv[1:] or names()
    try:
        failed = run_all(wanted)
    except ValueError as error:
        sys.exit(str(error))
    render.main()
    if failed:
        sys.exit(f"{len(failed)} of {len(wanted)} benchmarks missed a promise or failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
