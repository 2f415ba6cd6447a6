"""The one exception that every step raises for bad input, shown to the user as one line."""


class DataEngineError(Exception):
    """Something the user can mend: names the file, the row or key, and the remedy, in one line.

    The command line prints it without a traceback and exits with `exit_code`:
    1 the work failed, 2 wrong usage or parameters.
    """

    exit_code = 1


class ParameterError(DataEngineError):
    """A parameter, a setting or a command-line option is wrong; nothing was run."""

    exit_code = 2
