"""Steps 0, 2 and 4: where users' prompt templates are filled; they can reach nothing but what they are given."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2.sandbox import SandboxedEnvironment


def sandbox() -> "SandboxedEnvironment":
    """Jinja as prompts are written in it: an unknown name is an error, and blocks leave no blank lines."""
    import jinja2
    from jinja2.sandbox import SandboxedEnvironment

    return SandboxedEnvironment(undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
