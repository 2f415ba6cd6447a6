"""Step 2: loads a model of OpenAI's `clip` package by its name, or from a checkpoint file."""

import importlib.util
import sys
import types
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dataengine_lib.core.text import one_line
from dataengine_lib.embeddings.clip_checkpoint import read_checkpoint
from dataengine_lib.errors import DataEngineError, install_command

_REMEDY = f"install it with `{install_command('clip')}`, or set encoder to openai/clip-vit-base-patch32"


def load_openai_clip(name: str) -> tuple[Any, Any]:
    """The model of `clip:NAME` or `clip:FILE` in float32 on the CPU, and its torchvision preprocessing.

    NAME is one of the package's list, downloaded and checked by the package. FILE is a state dict or a TorchScript
    archive, of which only the tensors are read. Raises DataEngineError with the remedy.
    """
    clip = _import_clip(name)
    model_or_file = name.removeprefix("clip:")
    # the package's names come first, also where a file has such a name
    if model_or_file not in clip.available_models() and Path(model_or_file).is_file():
        return _from_file(clip, Path(model_or_file))
    try:
        model, preprocess = clip.load(model_or_file, device="cpu", jit=False)
    except (RuntimeError, OSError) as error:
        raise DataEngineError(
            f"{name}: cannot be loaded ({_line(error)}); one of {clip.available_models()}, or a checkpoint file"
        ) from error
    return model.float(), preprocess


def _from_file(clip: Any, file: Path) -> tuple[Any, Any]:
    weights = read_checkpoint(file)
    try:
        # build_model rounds to float16, as OpenAI's own weights are; loading once more keeps float32 weights exact
        # dict(): build_model deletes three entries that are no weights; strict=False lets them pass
        model = clip.model.build_model(dict(weights)).float()
        model.load_state_dict(weights, strict=False)
    except (RuntimeError, LookupError, TypeError, ValueError, ArithmeticError) as error:
        raise DataEngineError(f"{file}: these are no weights of OpenAI's CLIP ({_line(error)})") from error
    return model, clip.clip._transform(model.visual.input_resolution)


def _import_clip(name: str) -> Any:
    try:
        with _pkg_resources_stand_in(), warnings.catch_warnings():
            # torchvision warns about compiled operators, which resizing does not need
            warnings.simplefilter("ignore")
            import clip  # type: ignore[import-not-found]
    except (ImportError, OSError) as error:
        raise DataEngineError(f"{name}: needs OpenAI's `clip` package ({error}); {_REMEDY}") from error
    if not hasattr(clip, "available_models"):  # PyPI's `clip` is another project
        raise DataEngineError(f"{name}: the installed `clip` package is not OpenAI's; {_REMEDY}")
    return clip


@contextmanager
def _pkg_resources_stand_in() -> Iterator[None]:
    """Provide `pkg_resources.packaging` while `clip` is imported: it needs it, and setuptools 82 has it no more."""
    if importlib.util.find_spec("pkg_resources") is not None:
        yield
        return
    import packaging.version

    stand_in: Any = types.ModuleType("pkg_resources")
    stand_in.packaging = packaging
    sys.modules["pkg_resources"] = stand_in
    try:
        yield
    finally:
        del sys.modules["pkg_resources"]


def _line(error: Exception) -> str:
    return one_line(str(error))[:200]
