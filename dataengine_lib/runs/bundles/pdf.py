"""PDF files of a report's pages (verb `bundle --pdf`), printed by a browser that is installed."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from dataengine_lib.errors import DataEngineError

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
_WAIT = 120  # seconds for a page


def print_pages(folder: Path, names: Iterable[str], output: Path) -> list[Path]:
    """Print pages of `folder` into `output`: round1/1_evaluate.html becomes round1_1_evaluate.pdf.

    Raises DataEngineError where no Chromium, Chrome or Edge is installed, or it prints nothing.
    """
    browser = next((path for name in _BROWSERS if (path := shutil.which(name))), None)
    if browser is None:
        raise DataEngineError(
            f"--pdf: no browser found; install Chromium or Chrome so that one of {', '.join(_BROWSERS)} is on the path"
        )
    output.mkdir(parents=True, exist_ok=True)
    written = []
    for name in names:
        target = output / f"{name.removesuffix('.html').replace('/', '_')}.pdf"
        _print(browser, folder / name, target)
        written.append(target)
    return written


def _print(browser: str, page: Path, target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as scratch:
        made = Path(scratch) / target.name
        command = [
            browser, "--headless", "--disable-gpu", "--no-sandbox", "--no-pdf-header-footer",
            f"--user-data-dir={scratch}/profile", f"--print-to-pdf={made}", page.resolve().as_uri(),
        ]  # fmt: skip
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_WAIT, check=False)
        except subprocess.TimeoutExpired as error:
            raise DataEngineError(
                f"{page}: {browser} printed nothing within {_WAIT} s; print the page from a browser"
            ) from error
        if not made.is_file():
            why = (done.stderr.strip().splitlines() or ["it gave no reason"])[-1]
            raise DataEngineError(f"{page}: {browser} printed nothing ({why}); print the page from a browser")
        made.replace(target)
