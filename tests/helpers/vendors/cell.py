"""One cell of the table of vendors and behaviours: a reader asks a server that speaks as a vendor does."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vendors.dialect import Sent, Vendor
from vendors.readers import IN_BATCHES, READERS, Asked, Reader, is_about
from vendors.server import Line, Script, VendorServer
from vendors.table import VENDORS

_SETTINGS: dict[str, Any] = {
    "max_attempts": 2, "concurrency": 1, "temperature": 0.5, "max_output_tokens": 400,
}  # fmt: skip


class Cell:
    """A reader in a folder of its own, where its ledger stays between two `ask`."""

    def __init__(self, server: VendorServer, folder: Path, vendor: Vendor, reader: Reader) -> None:
        self.folder, self.vendor, self.reader = folder, vendor, reader
        self.line: Line = server.line(lambda body, number: self.answer(body), vendor)

    @property
    def requests(self) -> list[dict[str, Any]]:
        """The bodies of the requests of the last `ask`."""
        return self.line.requests

    def answer(self, body: dict[str, Any]) -> Sent:
        """The vendor's regular reply to a request."""
        return self.vendor.answered(self.reader.write(body))

    def shown(self, behaviour: str, body: dict[str, Any]) -> Sent:
        """What the vendor answers where it shows a behaviour."""
        shown = self.vendor.shows[behaviour]
        if isinstance(shown, Sent):
            return shown
        return Sent(200, self.vendor.completion(shown, self.reader.write(body)))

    def words(self, behaviour: str) -> str:
        """What a message about the behaviour has to show."""
        return self.vendor.shows[behaviour].words

    def ask(self, script: Script, questions: int = 1, **settings: Any) -> Asked:
        """What the reader makes of a server with this script."""
        self.line.script = script
        self.line.requests.clear()
        given = _SETTINGS | {"base_url": self.line.url} | settings
        return self.reader.ask(self.folder, questions, given)

    def ask_all(self, behaviour: str, questions: int = 1, **settings: Any) -> Asked:
        """The same, of a server that shows the behaviour with every request."""
        return self.ask(lambda body, number: self.shown(behaviour, body), questions, **settings)

    def ask_first(self, behaviour: str) -> Asked:
        """The same, of a server that shows it with every request about the first of two questions."""

        def script(body: dict[str, Any], number: int) -> Sent:
            return self.shown(behaviour, body) if is_about(body, "first") else self.answer(body)

        return self.ask(script, 2)

    def ask_regular(self, questions: int = 1, **settings: Any) -> Asked:
        """The same, of a server that answers every request."""
        return self.ask(lambda body, number: self.answer(body), questions, **settings)

    @property
    def together(self) -> bool:
        """Whether all questions go to the server before the first is answered."""
        return self.reader is IN_BATCHES

    def files(self) -> str:
        """The text of every file that the reader wrote."""
        names = ("*.json", "*.jsonl")
        return "".join(file.read_text() for name in names for file in self.folder.rglob(name))


CellOf = Callable[[Vendor, Reader], Cell]


def cells(behaviour: str) -> pytest.MarkDecorator:
    """Every vendor that shows a behaviour, by every reader."""
    found = [
        pytest.param(vendor, reader, id=f"{vendor.name}-{reader.name}")
        for vendor in VENDORS
        if behaviour == "answer" or behaviour in vendor.shows
        for reader in (*READERS, *([IN_BATCHES] if behaviour in vendor.in_rows else []))
    ]
    return pytest.mark.parametrize(("vendor", "reader"), found)
