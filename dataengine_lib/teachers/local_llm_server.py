"""Step 3: the child process in which llama.cpp serves a model. local_llm.py starts it; it ends with its parent.

It is run as a script whose only argument is the settings as JSON. It imports xllamacpp and nothing of this package.
"""

import json
import os
import sys
import threading
from typing import Any


def _end_with_parent() -> None:
    """Exit at the end of file on stdin: the parent holds the other end of that pipe and never writes to it."""
    sys.stdin.buffer.read()
    os._exit(0)


def _parameters(settings: dict[str, Any]) -> Any:
    """llama.cpp's parameters for `settings`: `file`, `name`, `threads`, `context` (tokens per slot), `slots`."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = settings["file"]
    params.model_alias = {settings["name"]}  # otherwise replies and the list of models show the file's path
    params.hostnames = ["127.0.0.1"]
    params.port = 0  # a free port of the system's choice
    params.n_parallel = settings["slots"]
    # llama.cpp divides the context among the slots.
    params.n_ctx = settings["context"] * settings["slots"]
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = settings["threads"]
    params.n_threads_http = settings["slots"] + 2
    params.cache_ram_mib = 0  # no cache of earlier prompts (up to 8 GB): they do not come back
    params.cors_origins = ""  # pages in this machine's browser may not use it
    params.ui = params.endpoint_slots = False
    params.verbosity = 2  # errors and warnings
    return params


def main() -> None:
    """Serve until stdin ends; the only line on stdout is the address, written when the model is loaded."""
    out = os.dup(1)
    os.dup2(2, 1)  # what the library prints to stdout goes to the log
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import xllamacpp

    server = xllamacpp.Server(_parameters(json.loads(sys.argv[1])))
    os.write(out, f"{server.listening_address}\n".encode())
    threading.Event().wait()


if __name__ == "__main__":
    main()
