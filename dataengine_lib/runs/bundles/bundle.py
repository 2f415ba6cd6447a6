"""Verb `bundle`: a run's or a study's report as a zip or as one page, to be sent to others."""

import json
import posixpath
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

from dataengine_lib.core.written_files.whole_file import replacing
from dataengine_lib.errors import ParameterError
from dataengine_lib.runs.bundles.links import file_in, linked_names, relinked
from dataengine_lib.runs.bundles.machine import MachineTexts
from dataengine_lib.runs.bundles.smaller_pages import smaller_pages
from dataengine_lib.runs.manifest import Manifest, read_manifest

_STARTS = ("7_study.html", "index.html")  # the page of a study, or of a run
_STATES = ("study.json", "run.json")
_ABOUT = "bundle.json"
_DATE = (1980, 1, 1, 0, 0, 0)  # of every file in a zip: the same report gives the same bytes


@dataclass
class Bundle:
    """What a bundle holds: names of files relative to the report's folder, and why others were left out.

    `picture_side` is the longer side in pixels that pictures were reduced to, `cards` the number that each gallery was
    cut to; 0 where they are as in the report.
    """

    output: Path
    pages: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    picture_side: int = 0
    cards: int = 0


@dataclass
class _Report:
    """A report that is read: texts of its pages by name, cleaned, and its data files."""

    folder: Path
    start: str
    machine: MachineTexts
    manifests: dict[str, Manifest]
    pages: dict[str, str]
    files: dict[str, Path]
    left_out: dict[str, str]


def bundle(folder: Path, output: Path, *, data: bool = True, max_mb: float | None = None) -> Bundle:
    """Write the report in `folder`, a run's or a study's, to `output`: a .zip, or one .html with all pages.

    A zip has the pages, the data files that they link to (unless `data` is false) and `bundle.json`: SHA-256 and bytes
    of each file, every step's parameters, versions, and what was left out. Links to what is not in it are texts. Paths of
    the machine and secrets of the environment are replaced in pages; a data file that has one is left out. The same
    report gives the same bytes. Where it would be larger than `max_mb` (millions of bytes), pictures are reduced and
    galleries cut to their first cards. Raises ParameterError for a folder without a report, for another suffix, and
    where `max_mb` is too little.
    """
    output = Path(output)
    if output.suffix.lower() not in (".zip", ".html"):
        raise ParameterError(f"{output}: a bundle is a .zip or an .html; name one of them")
    as_page = output.suffix.lower() == ".html"
    report = _read_report(folder, data=data and not as_page)
    made, side, cards = _written(report, as_page), 0, 0
    smaller = smaller_pages(report.pages)
    while max_mb is not None and made.tell() > 1e6 * max_mb:
        least = made.tell()
        made.close()
        if (found := next(smaller, None)) is None:
            raise ParameterError(_too_large(output, least, max_mb, report))
        pages, side, cards = found
        made = _written(replace(report, pages=pages), as_page)
    with made, replacing(output) as stream:
        made.seek(0)
        shutil.copyfileobj(made, stream)
    return Bundle(output, list(report.pages), list(report.files), report.left_out, side, cards)


def _written(report: _Report, as_page: bool) -> IO[bytes]:
    """A temporary file, at its end, with the bundle: one HTML page, or a zip."""
    stream = tempfile.TemporaryFile()  # noqa: SIM115  # the caller closes it
    if as_page:
        from dataengine_lib.runs.bundles.one_page import one_page

        stream.write(one_page(report.folder.resolve().name, report.pages, _about(report, {})).encode())
    else:
        _write_zip(report, stream)
    return stream


def _too_large(output: Path, least: int, max_mb: float, report: _Report) -> str:
    without = ", or leave out the data files (--no-data)" if report.files else ""
    return (
        f"{output}: {least / 1e6:.1f} MB even with small pictures and galleries, more than --max-mb {max_mb:g}; "
        f"allow that much{without}"
    )


def _read_report(folder: Path, *, data: bool) -> _Report:
    starts = [name for name in _STARTS if file_in(folder, name)]
    if not starts or not any((folder / name).is_file() for name in _STATES):
        raise ParameterError(
            f"{folder}: no report of a run or study here; give a folder such as reports/demo, with run.json and index.html"
        )
    texts, linked = _pages_and_files(folder, starts)
    manifests = {
        name: found
        for name in texts
        if (found := read_manifest((folder / name).with_suffix(".manifest.json")))
    }
    machine = MachineTexts(folder, [manifest.parameters for manifest in manifests.values()])
    left_out: dict[str, str] = {}
    files: dict[str, Path] = {}
    for name in linked:
        path = file_in(folder, name)
        if path is None:
            left_out[name] = "a folder" if (folder / name).is_dir() else "no file there"
        elif not data:
            continue
        elif machine.found(path.read_text(encoding="utf-8", errors="replace")):
            left_out[name] = "it has paths of the machine or a secret"
        else:
            files[name] = path
    pages = {name: machine.cleaned(text) for name, text in texts.items()}
    return _Report(folder, starts[0], machine, manifests, pages, files, left_out)


def _pages_and_files(folder: Path, starts: list[str]) -> tuple[dict[str, str], list[str]]:
    """The texts of all pages that links lead to from the first ones, and the names of other files, in order."""
    texts: dict[str, str] = {}
    others: dict[str, None] = {}
    waiting = list(starts)
    while waiting:
        name = waiting.pop(0)
        if name in texts:
            continue
        texts[name] = (folder / name).read_text(encoding="utf-8", errors="replace")
        for found in linked_names(texts[name], name):
            if found.endswith(".html") and file_in(folder, found):
                waiting.append(found)
            else:
                others[found] = None
    return texts, list(others)


def _write_zip(report: _Report, stream: IO[bytes]) -> None:
    top = report.folder.resolve().name
    about: dict[str, dict[str, Any]] = {}
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in _contents(report):
            about[name] = {"bytes": len(content), "sha256": sha256(content).hexdigest()}
            _add(archive, f"{top}/{name}", content)
        _add(archive, f"{top}/{_ABOUT}", json.dumps(_about(report, about), indent=1).encode())


def _contents(report: _Report) -> Iterator[tuple[str, bytes]]:
    for page, text in report.pages.items():
        yield page, relinked(text, page, partial(_address_in_zip, report, page)).encode()
    for name, path in report.files.items():
        yield name, path.read_bytes()


def _address_in_zip(report: _Report, page: str, name: str, fragment: str) -> str | None:
    if name and name not in report.pages and name not in report.files:
        return None
    path = quote(posixpath.relpath(name, posixpath.dirname(page) or ".")) if name else ""
    return f"{path}#{fragment}" if fragment else path


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, _DATE)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, content)


def _about(report: _Report, files: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What `bundle.json` says: of what it is, its files, every step's parameters and versions, what was left out."""
    about = {
        "report": report.folder.resolve().name,
        "start": report.start,
        "files": files,
        "steps": {
            page: {
                "step": manifest.step,
                "identity": manifest.identity,
                "parameters": manifest.parameters,
                "versions": manifest.versions,
            }
            for page, manifest in report.manifests.items()
        },
        "left_out": report.left_out,
    }
    cleaned: dict[str, Any] = json.loads(report.machine.cleaned(json.dumps(about, ensure_ascii=False)))
    return cleaned
