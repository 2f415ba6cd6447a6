"""What was there before long work is left out of garbage collections while it goes on, and only then."""

import gc
from collections.abc import Iterator

import pytest

from dataengine_lib.core.machine.garbage import older_objects_kept


@pytest.fixture(autouse=True)
def nothing_left_out() -> Iterator[None]:
    """Undoes what conftest.py does for the speed of all tests, for the time of one."""
    gc.unfreeze()
    yield
    gc.freeze()


def test_older_objects_are_left_out_inside_the_block_alone() -> None:
    older = [[]]
    older[0].append(older)  # a cycle
    with older_objects_kept():
        assert gc.get_freeze_count() > 1_000
        assert all(older is not one for one in gc.get_objects())
    assert gc.get_freeze_count() == 0
    assert any(older is one for one in gc.get_objects())
    with pytest.raises(ZeroDivisionError), older_objects_kept():
        1 / 0  # noqa: B018
    assert gc.get_freeze_count() == 0


def test_what_a_forked_kernel_left_out_before_stays_so() -> None:
    gc.freeze()
    with older_objects_kept():
        pass
    assert gc.get_freeze_count() > 1_000
