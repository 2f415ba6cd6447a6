"""Fixtures of the tests of the steps."""

from colour_student import root  # noqa: F401
