"""DataEngine: measure a multimodal LLM, generate data for its weaknesses, fine-tune, measure again."""

import os

__version__ = "0.1.0"

# OpenMP and BLAS read these once, when torch and NumPy are imported; kernels and workers inherit them.
# Waiting threads of torch sleep: on a busy machine those that spin take the processor from the one they wait for.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # GNU's OpenMP, LLVM's and Intel's
os.environ.setdefault("KMP_BLOCKTIME", "0")  # LLVM's and Intel's, which otherwise spin for 200 ms first
# NumPy's products have one thread: with another number their last digits may differ. Models: core/machine/threads.py.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("VECLIB_MAXIMUM_THREADS", "1")  # the BLAS of macOS


def __getattr__(name: str) -> object:
    """`dataengine_lib.load_run`, imported when it is first asked for: the package itself is light."""
    if name == "load_run":
        # by its name, as a package that reads __version__ must not depend on the one that opens runs
        from importlib import import_module

        return import_module("dataengine_lib.runs.opened.opened_run").load_run
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
