"""Fixtures of the tests of studies."""

from fake_loop import own_steps

__all__ = ["own_steps"]
