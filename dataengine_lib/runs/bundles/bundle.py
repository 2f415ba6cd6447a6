"""Verb `bundle`: a run's or a study's report as a zip or as one page, to be sent to others."""

import json
import posixpath
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

from dataengine_lib.core.written_files.whole_file import replacing
from dataengine_lib.errors import ParameterError
from dataengine_lib.runs.bundles.links import file_in, linked_names, relinked
from dataengine_lib.runs.bundles.machine import MachineTexts
from dataengine_lib.runs.manifest import Manifest, read_manifest

_STARTS = ("7_study.html", "index.html")  # the page of a study, or of a run
_STATES = ("study.json", "run.json")
_ABOUT = "bundle.json"
_DATE = (1980, 1, 1, 0, 0, 0)  # of every file in a zip: the same report gives the same bytes


@dataclass
class Bundle:
    """What a bundle holds: names of files relative to the report's folder, and why others were left out."""

    output: Path
    pages: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)


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


def bundle(folder: Path, output: Path, *, data: bool = True) -> Bundle:
    """Write the report in `folder`, a run's or a study's, to `output`: a .zip, or one .html with all pages.

    A zip has the pages, the data files that they link to (unless `data` is false) and `bundle.json`: SHA-256 and bytes
    of each file, every step's parameters, versions, and what was left out. Links to what is not in it are texts. Paths of
    the machine and secrets of the environment are replaced in pages; a data file that has one is left out. The same
    report gives the same bytes. Raises ParameterError for a folder without a report and for another suffix.
    """
    output = Path(output)
    if output.suffix.lower() not in (".zip", ".html"):
        raise ParameterError(f"{output}: a bundle is a .zip or an .html; name one of them")
    if output.suffix.lower() == ".html":
        from dataengine_lib.runs.bundles.one_page import one_page

        report = _read_report(folder, data=False)
        with replacing(output, "w") as stream:
            stream.write(one_page(report.folder.resolve().name, report.pages, _about(report, {})))
    else:
        report = _read_report(folder, data=data)
        _write_zip(report, output)
    return Bundle(output, list(report.pages), list(report.files), report.left_out)


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


def _write_zip(report: _Report, output: Path) -> None:
    top = report.folder.resolve().name
    about: dict[str, dict[str, Any]] = {}
    with replacing(output) as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
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
