"""Fixtures of the tests of runs."""

from fake_loop import own_steps

__all__ = ["own_steps"]
