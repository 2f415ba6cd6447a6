"""The exceptions that every step raises for wrong input, shown to the user as one line."""

import errno
from pathlib import Path


class DataEngineError(Exception):
    """Something that the user can correct. The message is one line: the file, the row or key, and the remedy.

    The command line prints it without a traceback and exits with `exit_code`:
    1 when the work failed, 2 for wrong usage or parameters.
    """

    exit_code = 1

    def __str__(self) -> str:
        """The message; what a terminal would act on or cannot write stands as an escape, such as `\\x1b` or `\\ud800`.

        Messages quote texts of data files, which are not trusted.
        """
        text = super().__str__()
        if text.replace("\n", "").isprintable():
            return text
        return "".join(
            one if one.isprintable() or one == "\n" else one.encode("unicode_escape").decode() for one in text
        )


class ParameterError(DataEngineError):
    """A parameter, a setting or a command-line option is wrong; nothing was run."""

    exit_code = 2


# its constraints.txt is not in a wheel
_CHECKOUT = Path(__file__).parent.parent


def install_command(extra: str) -> str:
    """What installs the packages of an extra: with the pinned versions in a checkout, by the package's name elsewhere."""
    if (_CHECKOUT / "constraints.txt").is_file() and (_CHECKOUT / "pyproject.toml").is_file():
        return f'pip install -c constraints.txt -e ".[{extra}]"'
    return f'pip install "mllm-dataengine[{extra}]"'


# The disk, the quota or the process's file size limit is used up.
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_SYSTEM_REMEDIES = {
    errno.EMFILE: "raise the limit with `ulimit -n 4096`, then run again",
    errno.ENFILE: "end other programs, then run again",
    errno.ENAMETOOLONG: "use a shorter path",
    errno.ELOOP: "remove the link that leads to itself",
    errno.EACCES: "choose a path that you may use",
    errno.EPERM: "choose a path that you may use",
    errno.EROFS: "choose a folder that you may write to",
    errno.ENOMEM: "end other programs, then run again",
    **dict.fromkeys(DISK_FULL, "free disk space, then run again"),
}


def system_remedy(number: int) -> str:
    """What to do about an error of the system by its number, such as errno.ENOSPC; empty where nothing is known."""
    return _SYSTEM_REMEDIES.get(number, "")


def system_error_line(error: OSError) -> str:
    """One line for an error of the system that no step has turned into its own: the file, the reason and the remedy."""
    reason = error.strerror or str(error) or type(error).__name__
    # a path that is too long hides the reason behind it
    name = str(error.filename or "")
    shown = f"{name if len(name) <= 300 else name[:300] + '…'}: " if name else ""
    remedy = system_remedy(error.errno or 0) or ("check the path" if name else "")
    return f"{shown}{reason}{f'; {remedy}' if remedy else ''}"
