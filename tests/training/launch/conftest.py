"""Fixtures of the tests of several processes."""

from fine_tuning import config, images, student  # noqa: F401
