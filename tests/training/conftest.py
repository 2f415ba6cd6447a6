"""Fixtures of the tests that train."""

from fine_tuning import config, images, student  # noqa: F401
