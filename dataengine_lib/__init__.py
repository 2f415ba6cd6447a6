"""DataEngine: measure a multimodal LLM, generate data for its weaknesses, fine-tune, measure again."""

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """`dataengine_lib.load_run`, imported when it is first asked for: the package itself is light."""
    if name == "load_run":
        # by its name, as a package that reads __version__ must not depend on the one that opens runs
        from importlib import import_module

        return import_module("dataengine_lib.runs.opened.opened_run").load_run
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
