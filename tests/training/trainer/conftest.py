"""Fixtures of the tests of the trainer."""

from fine_tuning import config, images, student  # noqa: F401
