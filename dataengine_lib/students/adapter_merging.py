"""Merges adapters into a student's weights (steps 1 and 5), with one rounding, so that both steps get the same weights."""

import warnings
from pathlib import Path
from typing import Any

import torch

from dataengine_lib.core.model_files.model_folder import adapter_base
from dataengine_lib.core.text import one_line
from dataengine_lib.errors import DataEngineError


def with_adapter(model: Any, adapter: Path | str, stored: torch.dtype) -> Any:
    """The model with the adapter of a folder or hub name merged into it, as `merged` does.

    Raises DataEngineError when the adapter does not fit the model or cannot be merged.
    """
    from peft import PeftModel

    remedy = "give a folder that peft saved, or the hub name of an adapter"
    base = adapter_base(str(adapter))
    made_for = f"it was made for {base}" if base else "it was made for another model"
    try:
        with warnings.catch_warnings():
            # an adapter without its weights changes nothing, and peft only warns
            warnings.filterwarnings("error", ".*missing adapter keys")
            found = PeftModel.from_pretrained(model, str(adapter))
    except UserWarning as error:
        # "Found missing adapter keys while loading the checkpoint: ['a', 'b']." gives ["a", "b"]
        keys = str(error).partition("[")[2].rstrip("].").replace("'", "").split(", ")
        raise DataEngineError(
            f"{adapter}: {len(keys)} weights of the adapter are missing, {keys[0]} among them; {made_for}, or by a "
            "version with other names for its parts"
        ) from error
    except Exception as error:  # any library's own, as in _load_model
        words = str(error)
        if "size mismatch" in words or "not found in the base model" in words:
            raise DataEngineError(
                f"{adapter}: this adapter does not fit the student, {made_for}; give the student of that name"
            ) from error
        raise DataEngineError(
            f"{adapter}: adapter cannot be loaded ({(one_line(str(error))[:200] or type(error).__name__)}); {remedy}"
        ) from error
    # prompt and prefix tuning add tokens instead of weights
    if not hasattr(found.base_model, "merge_and_unload"):
        kind = found.active_peft_config.peft_type.value
        raise DataEngineError(
            f"{adapter}: a {kind} adapter cannot be merged into weights; give a LoRA or the like"
        )
    return merged(found, stored)


@torch.no_grad()
def merged(model: Any, stored: torch.dtype) -> Any:
    """The model of transformers inside a peft model, with the adapters added to the weights of their layers.

    The sum is made in float32 and rounded once to `stored`, the precision of the model's files; the layer then has
    its own precision again. So a model with an adapter answers as the checkpoint that it is saved as.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    model.base_model._check_merge_allowed()
    for module in list(model.modules()):
        if isinstance(module, BaseTunerLayer) and not module.merged:
            weights = [
                one for name, one in module.get_base_layer().named_parameters() if ".lora_" not in name
            ]
            own = [weight.dtype for weight in weights]
            for weight in weights:
                weight.data = weight.data.float()
            module.merge()
            for weight, dtype in zip(weights, own, strict=True):
                weight.data = weight.data.to(stored).to(dtype)
    # only takes the adapters off: their layers are merged
    return model.unload()
