"""The exceptions that every step raises for wrong input, shown to the user as one line."""


class DataEngineError(Exception):
    """Something that the user can correct. The message is one line: the file, the row or key, and the remedy.

    The command line prints it without a traceback and exits with `exit_code`:
    1 when the work failed, 2 for wrong usage or parameters.
    """

    exit_code = 1


class ParameterError(DataEngineError):
    """A parameter, a setting or a command-line option is wrong; nothing was run."""

    exit_code = 2
