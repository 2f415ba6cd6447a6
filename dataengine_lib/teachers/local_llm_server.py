"""Step 3: the process in which llama.cpp serves a model; started by local_llm.py, ends with whoever started it.

Run as a file, with the settings as JSON for its only argument. It imports nothing of this package: what it needs is
xllamacpp alone.
"""

import json
import os
import sys
import threading
from typing import Any


def _end_with_parent() -> None:
    """The parent holds the other end of stdin and writes nothing: its end of file is the parent's end."""
    sys.stdin.buffer.read()
    os._exit(0)


def parameters(settings: dict[str, Any]) -> Any:
    """llama.cpp's parameters for `settings`: `file`, `name`, `threads`, `context` (tokens a slot), `slots`."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = settings["file"]
    params.model_alias = {settings["name"]}  # else replies and lists of models name the path
    params.hostnames = ["127.0.0.1"]
    params.port = 0  # the system's choice, so that no other program can be before us
    params.n_parallel = settings["slots"]
    params.n_ctx = settings["context"] * settings["slots"]
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = settings["threads"]
    params.n_threads_http = settings["slots"] + 2
    params.cache_ram_mib = 0  # a second cache of up to 8 GB, of prompts that never come back
    params.cors_origins = ""  # no page in a browser of this machine may ask it
    params.ui = params.endpoint_slots = False
    params.verbosity = 2  # errors and warnings
    return params


def main() -> None:
    """Serve until stdin ends; the only line on stdout is the address, as soon as the model answers."""
    out = os.dup(1)
    os.dup2(2, 1)  # whatever the library prints belongs to the log
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import xllamacpp

    server = xllamacpp.Server(parameters(json.loads(sys.argv[1])))
    os.write(out, f"{server.listening_address}\n".encode())
    threading.Event().wait()


if __name__ == "__main__":
    main()
