"""What the verbs share at a terminal: their list, the words of a command line, completion, the browser, streams."""

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

OpenReport = Annotated[bool, typer.Option("--open", help="open the report in the default browser at the end")]
# Options that take several values, as `--train-data A B`.
LIST_OPTIONS = {
    *("--train-data", "--exclude-queries", "--evaluations", "--text-formats", "--targets"),
    *("--earlier-evaluations", "--earlier-training", "--earlier-causes", "--usage", "--post-process"),
    *("--blind-evaluations", "--panels", "--panel", "--found-causes", "--metrics"),
    *("--second-reader", "--blind-reader", "--without-rules"),
    *("--train-parts", "--target-modules", "--report-to"),
}


class WholeDescriptions(TyperGroup):
    """The verbs with the whole first sentence of each one's description, over as many lines as the terminal needs."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list of verbs; the usual one cuts each description to one line."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, one.get_short_help_str(limit=sys.maxsize)) for name, one in found if one]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def asked_verb(arguments: Sequence[str]) -> str:
    """The verb of a command line, its first word that is no option; also while a shell asks how to complete one."""
    if "_DATAENGINE_COMPLETE" in os.environ:
        # typer's bash script hands on the line in one variable, those of the other shells in another
        line = os.environ.get("COMP_WORDS") or os.environ.get("_TYPER_COMPLETE_ARGS", "")
        arguments = line.split()[1:]
    return next((word for word in arguments if not word.startswith("-")), "")


def repeat_list_options(arguments: list[str]) -> list[str]:
    """`--train-data A B` as `--train-data A --train-data B`, which is what typer understands."""
    result: list[str] = []
    option = ""  # the list option that values belong to
    for argument in arguments:
        if argument.startswith("--"):
            option = argument if argument in LIST_OPTIONS else ""
            result.append(argument)
        elif option and result[-1] != option:  # the second value and those after it
            result += [option, argument]
        else:
            result.append(argument)
    return result


def completed_from(names: Callable[[], Iterable[str]]) -> Callable[[str], list[str]]:
    """For typer's `autocompletion`: those of `names` that begin like a word; shells offer files where there are none."""

    def complete(incomplete: str) -> list[str]:
        return [name for name in names() if name.startswith(incomplete)]

    return complete


def _run_folders() -> list[str]:
    """The folders of runs and studies in `reports/` here; for a word that begins none of them a shell offers files."""
    files = [file for name in ("run.json", "study.json") for file in Path("reports").glob(f"*/{name}")]
    return sorted({file.parent.as_posix() for file in files})


complete_run_folder = completed_from(_run_folders)


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


def open_standard_streams() -> None:
    """Open what is closed of standard input, output and error on nothing, as service managers close them.

    Otherwise the next files that are opened get their numbers, and notebook kernels, which inherit them, do not start.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free: this one
            os.set_inheritable(number, True)
    # Python has None where a stream was closed
    sys.stdin, sys.stdout, sys.stderr = (
        stream or os.fdopen(number, mode)
        for number, mode, stream in ((0, "r", sys.stdin), (1, "w", sys.stdout), (2, "w", sys.stderr))
    )
