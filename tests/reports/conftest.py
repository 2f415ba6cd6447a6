"""Fixtures of the tests of reports of other tools' users."""

from fake_loop import own_steps

__all__ = ["own_steps"]
