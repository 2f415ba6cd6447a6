"""What the verbs share at a terminal: a list of verbs that is never cut, and the report opened in a browser."""

import os
import sys
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup


class WholeDescriptions(TyperGroup):
    """The verbs with the whole first sentence of each one's description, over as many lines as the terminal needs."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list of verbs; the usual one cuts each description to one line."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, one.get_short_help_str(limit=sys.maxsize)) for name, one in found if one]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def open_report_page(page: Path) -> None:
    """Open a report in the default browser; one line of standard error names its path where none can be started."""
    import webbrowser

    # without a display, webbrowser would start a text browser such as lynx in this terminal
    if not _has_display():
        typer.echo(f"no browser opened, as this machine has no display; the report is {page}", err=True)
        return
    try:
        opened = webbrowser.open(page.resolve().as_uri())
    except webbrowser.Error:
        opened = False
    if not opened:
        typer.echo(f"no browser could be started; set BROWSER to one, or open {page}", err=True)


def _has_display() -> bool:
    """Whether a browser has a place to open; BROWSER is the user's own, as editors on remote machines set it."""
    names = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    return sys.platform in ("darwin", "win32") or any(os.environ.get(name) for name in names)
