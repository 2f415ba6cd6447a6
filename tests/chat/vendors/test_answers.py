"""Vendors × behaviours: regular replies, thoughts, and replies that are none, read in steps 0, 1, 3 and 4."""

from vendors.dialect import BEHAVIOURS
from vendors.table import VENDORS


def test_the_table_is_full() -> None:
    assert len(VENDORS) == 18 == len({vendor.name for vendor in VENDORS})
    for vendor in VENDORS:
        assert {"answer", *vendor.shows, *vendor.without} == set(BEHAVIOURS), vendor.name
        assert not vendor.shows.keys() & vendor.without.keys() and all(vendor.without.values())
        assert len(vendor.shows) >= 10 and vendor.source
    assert sum(len(vendor.shows) + 1 for vendor in VENDORS) >= 220
