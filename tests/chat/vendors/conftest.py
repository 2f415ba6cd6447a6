"""One server for all vendors, and a cell of their table."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from vendors.cell import Cell, CellOf
from vendors.server import VendorServer, vendor_server

KEY = "sk-vendor-12345678"


@pytest.fixture(scope="session")
def server() -> Iterator[VendorServer]:
    with vendor_server() as found:
        yield found


@pytest.fixture
def cell(server: VendorServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CellOf:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    return lambda vendor, reader: Cell(server, tmp_path, vendor, reader)
