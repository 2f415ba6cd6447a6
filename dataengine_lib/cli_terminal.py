"""What the verbs share at a terminal: a list of verbs that is never cut."""

import sys
from typing import Any

from typer.core import TyperGroup


class WholeDescriptions(TyperGroup):
    """The verbs with the whole first sentence of each one's description, over as many lines as the terminal needs."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list of verbs; the usual one cuts each description to one line."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, one.get_short_help_str(limit=sys.maxsize)) for name, one in found if one]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
