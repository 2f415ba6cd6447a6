"""Loads the student (steps 1 and 5) from a model folder or the hub, with an adapter's weights in it."""

import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoConfig

from dataengine_lib.core.text import one_line
from dataengine_lib.core.torch_loading import Dtype, quiet_in_logs
from dataengine_lib.errors import DataEngineError
from dataengine_lib.students.encoder_decoder import is_encoder_decoder
from dataengine_lib.students.hugging_face_student import HuggingFaceStudent
from dataengine_lib.students.processor_loading import load_processor


def load_student(
    name: str,
    device: str = "auto",
    adapter: Path | str | None = None,
    batch_size: int = 64,
    dtype: Dtype = "auto",
) -> HuggingFaceStudent:
    """Load a model folder or hub name with its processor, and merge the adapter of a folder or hub name into it.

    `device` is `auto` (a GPU where there is one), torch's name of one, or `device_map`: spread over all GPUs and
    the machine's memory. `dtype` of `auto` is float32 on CPU and the checkpoint's own on a GPU.
    Raises DataEngineError with the remedy when it is not there.
    """
    from transformers import AutoModelForImageTextToText

    if _is_path(name) and not Path(name).is_dir():
        raise DataEngineError(f"{name}: no such folder; student must be a model folder or hub name")
    if Path(name).is_dir() and not (Path(name) / "config.json").is_file():
        raise DataEngineError(
            f"{name}: no config.json in this folder; student must be a model folder or hub name"
        )
    place = _place(device)
    remedy = "give a vision-language model's folder or name"
    on_cpu = place == "cpu" or not torch.cuda.is_available()
    precision: Any = dtype if dtype != "auto" else torch.float32 if on_cpu else "auto"
    spread = {"device_map": "auto"} if place is None else {}
    with quiet_in_logs():
        try:
            _check_kind(name, AutoConfig.from_pretrained(name))
            processor = load_processor(name)
            loaded: Any = AutoModelForImageTextToText.from_pretrained(
                name, dtype=precision, output_loading_info=True, ignore_mismatched_sizes=True, **spread
            )
        except DataEngineError:
            raise
        except SafetensorError as error:
            raise DataEngineError(
                f"{name}: weights cannot be read ({_line(error)}); copy or download the model again"
            ) from error
        except Exception as error:  # a damaged or foreign file makes any of five libraries raise its own
            raise DataEngineError(f"{name}: student cannot be loaded ({_line(error)}); {remedy}") from error
    model, found = loaded
    _check_weights(name, found)
    if not hasattr(processor, "tokenizer") or not hasattr(processor, "image_processor"):
        raise DataEngineError(
            f"{name}: no processor for images and text in it; save model and processor together"
        )
    q_former = hasattr(model.config, "qformer_config")
    if q_former and (processor.num_query_tokens is None or model.config.image_token_id is None):
        # such a processor leaves no place for the image, which the model would then not see
        raise DataEngineError(
            f"{name}: saved before BLIP-2's texts had tokens for the image; download the model again"
        )
    if processor.tokenizer.pad_token is None:  # questions of different length go together
        processor.tokenizer.pad_token = processor.tokenizer.eos_token
    if adapter is not None:
        model = _with_adapter(model, adapter)
    return HuggingFaceStudent(model if place is None else _moved(model, place, name), processor, batch_size)


def _check_weights(name: str, found: dict[str, Any]) -> None:
    """transformers fills what it does not find with random numbers, and only logs so."""
    wrong = dict.fromkeys(found["missing_keys"], "missing")
    wrong |= {key: "of another shape" for key, *_ in found["mismatched_keys"]}
    if wrong:
        first = min(wrong)
        raise DataEngineError(
            f"{name}: {len(wrong)} weights do not fit this model, {first} among them ({wrong[first]}); copy or "
            "download the model again, all of its files from one place"
        )


def _moved(model: Any, place: str, name: str) -> Any:
    try:
        return model.to(place)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise DataEngineError(
            f"{name}: cannot be moved to {place} ({_line(error)}); take another device, or device_map"
        ) from error


def _check_kind(name: str, config: Any) -> None:
    if is_encoder_decoder(config) and not hasattr(config, "qformer_config"):
        raise DataEngineError(
            f"{name}: {config.model_type} is an encoder-decoder, of which only BLIP-2 and InstructBLIP with T5 "
            "are supported; give one of these or a decoder-only model"
        )


def _place(device: str) -> str | None:
    """torch's name for `device`, None for a map over all."""
    if device == "device_map":
        return None
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(device)
    except RuntimeError as error:
        raise DataEngineError(
            f"device {device!r}: no such kind; choose auto, cpu, cuda, cuda:0 or device_map"
        ) from error
    if kind.type == "cuda" and (kind.index or 0) >= torch.cuda.device_count():
        raise DataEngineError(
            f"device {device!r}: torch sees {torch.cuda.device_count()} CUDA devices here; choose auto or cpu, or "
            "install a torch that fits the driver"
        )
    return str(kind)


def _is_path(name: str) -> bool:
    """Hub names are `name` or `owner/name`; anything else is not worth asking the hub for."""
    return name.startswith((".", "/", "~")) or name.count("/") > 1 or "\\" in name


def _with_adapter(model: Any, adapter: Path | str) -> Any:
    from peft import PeftModel

    remedy = "give a folder that peft saved, or the hub name of an adapter"
    there = Path(adapter).is_dir() or not _is_path(str(adapter))
    if not there or (Path(adapter).is_dir() and not (Path(adapter) / "adapter_config.json").is_file()):
        raise DataEngineError(f"{adapter}: no adapter_config.json in it; {remedy}")
    try:
        with warnings.catch_warnings():
            # without its weights an adapter changes nothing, which nobody would see
            warnings.filterwarnings("error", ".*missing adapter keys")
            found = PeftModel.from_pretrained(model, str(adapter))
    except UserWarning as error:
        keys = str(error).partition("[")[2].rstrip("].").replace("'", "").split(", ")
        raise DataEngineError(
            f"{adapter}: {len(keys)} weights of the adapter are missing, {keys[0]} among them; it was made for "
            "another model, or by a version that names its parts otherwise"
        ) from error
    except Exception as error:  # as above
        raise DataEngineError(f"{adapter}: adapter cannot be loaded ({_line(error)}); {remedy}") from error
    if not hasattr(found.base_model, "merge_and_unload"):  # prompt and prefix tuning add tokens, not weights
        kind = found.active_peft_config.peft_type.value
        raise DataEngineError(
            f"{adapter}: a {kind} adapter cannot be merged into weights; give a LoRA or the like"
        )
    return found.merge_and_unload()


def _line(error: Exception) -> str:
    return one_line(str(error))[:200] or type(error).__name__
