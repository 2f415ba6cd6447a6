"""Fixtures of the tests of the steps."""

from colour_student import root  # noqa: F401
from fine_tuning import config, images, student  # noqa: F401
