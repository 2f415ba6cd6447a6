"""Loads the student (steps 1 and 5) from a model folder or the hub, with an adapter's weights in it."""

import importlib.util
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoConfig

from dataengine_lib.core.machine.threads import threads_for
from dataengine_lib.core.model_files.model_folder import (
    check_adapter_folder,
    check_model_files,
    check_model_folder,
    loading_fault,
)
from dataengine_lib.core.text import one_line
from dataengine_lib.core.torch_loading import Dtype, quiet_in_logs
from dataengine_lib.errors import DataEngineError
from dataengine_lib.students.adapter_merging import with_adapter
from dataengine_lib.students.chat_texts import check_chat_template
from dataengine_lib.students.encoder_decoder import is_encoder_decoder
from dataengine_lib.students.hugging_face_student import HuggingFaceStudent
from dataengine_lib.students.processor_loading import load_processor
from dataengine_lib.students.stored_weights import common_dtype, stored_dtypes


def load_student(
    name: str,
    device: str = "auto",
    adapter: Path | str | None = None,
    batch_size: int = 64,
    dtype: Dtype = "auto",
    quantization: Any = None,
) -> HuggingFaceStudent:
    """Load a model folder or hub name with its processor, and merge the adapter of a folder or hub name into it.

    `device` is `auto` (a GPU where there is one), torch's name of one, or `device_map`: spread over all GPUs and
    the machine's memory. `dtype` of `auto` is float32 on CPU and the checkpoint's own on a GPU.
    `quantization` is transformers' config of a quantization of the weights, which are then packed while they are read.
    Raises DataEngineError, which says what to do, when the student cannot be loaded or the device not be used.
    """
    check_model_folder(name, "student")
    if adapter is not None:
        check_adapter_folder(str(adapter))
    target = torch_device(device)
    model, processor = _load_model(name, target, dtype, quantization)
    _check_processor(name, model, processor)
    if processor.tokenizer.pad_token is None:  # questions of different length share a batch
        processor.tokenizer.pad_token = processor.tokenizer.eos_token
    if adapter is not None:
        with threads_for(model):
            model = with_adapter(model, adapter, common_dtype(name, stored_dtypes(name)))
    if target is not None and quantization is None:
        model = _moved(model, target, name)
    return HuggingFaceStudent(model, processor, batch_size)


def _load_model(name: str, target: str | None, dtype: Dtype, quantization: Any) -> tuple[Any, Any]:
    """(model, processor); the model is on the CPU, or spread over all devices where `target` is None.

    A quantized one is on `target`, where its weights are packed.
    """
    from transformers import AutoModelForImageTextToText

    on_cpu = target == "cpu" or not torch.cuda.is_available()
    precision: Any = dtype if dtype != "auto" else torch.float32 if on_cpu else "auto"
    spread: dict[str, Any] = {"device_map": "auto"} if target is None else {}
    if quantization is not None:
        spread = {"device_map": {"": target} if target else "auto", "quantization_config": quantization}
    with quiet_in_logs():
        try:
            # False, not left out: without it transformers asks on the terminal whether to run the repository's code
            _check_architecture(name, AutoConfig.from_pretrained(name, trust_remote_code=False))
            check_model_files(name, "student")
            processor = _processor(name)
            # wrong shapes are let through here, and reported by _check_weights in one line
            loaded: Any = AutoModelForImageTextToText.from_pretrained(
                name,
                dtype=precision,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
                trust_remote_code=False,
                **spread,
            )
        except DataEngineError:
            raise
        except SafetensorError as error:
            raise DataEngineError(
                f"{name}: weights cannot be read ({_one_line(error)}); copy or download the model again"
            ) from error
        except Exception as error:  # for a damaged or foreign file, five libraries raise errors of their own
            if fault := loading_fault(name, error, "student"):
                raise DataEngineError(f"{name}: {fault}") from error
            raise DataEngineError(
                f"{name}: student cannot be loaded ({_one_line(error)}); give a vision-language model's folder or name"
            ) from error
    model, loading_info = loaded
    _check_weights(name, loading_info)
    return model, processor


def _processor(name: str) -> Any:
    try:
        return load_processor(name)
    except Exception as error:  # any library's own, as in _load_model
        if loading_fault(name, error, "student"):
            raise
        # Molmo2's image processor, for one, is written for torchvision alone
        if "torchvision" in str(error) and importlib.util.find_spec("torchvision") is None:
            raise DataEngineError(
                f"{name}: its image processor needs torchvision, which is not installed; install a torchvision that fits "
                "torch, or serve the model and give api:MODEL as student"
            ) from error
        raise DataEngineError(
            f"{name}: student cannot be loaded: its tokenizer or image processor is damaged or of another kind "
            f"({type(error).__name__}: {_one_line(error)}); copy or download the model again"
        ) from error


def _check_processor(name: str, model: Any, processor: Any) -> None:
    if not hasattr(processor, "tokenizer") or not hasattr(processor, "image_processor"):
        raise DataEngineError(
            f"{name}: no processor for images and text in it; save model and processor together"
        )
    check_chat_template(processor)
    q_former = hasattr(model.config, "qformer_config")
    if q_former and (processor.num_query_tokens is None or model.config.image_token_id is None):
        # such a processor writes no image tokens, so that the model would not see the image
        raise DataEngineError(
            f"{name}: saved before BLIP-2's texts had tokens for the image; download the model again"
        )


def _check_weights(name: str, loading_info: dict[str, Any]) -> None:
    """Missing and mismatched weights are errors: transformers fills them with random numbers, and only logs it."""
    wrong = dict.fromkeys(loading_info["missing_keys"], "missing")
    wrong |= {key: "of another shape" for key, *_ in loading_info["mismatched_keys"]}
    if wrong:
        first = min(wrong)
        raise DataEngineError(
            f"{name}: {len(wrong)} weights do not fit this model, {first} among them ({wrong[first]}); copy or "
            "download the model again, all of its files from one place"
        )


def _moved(model: Any, device: str, name: str) -> Any:
    try:
        return model.to(device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise DataEngineError(
            f"{name}: cannot be moved to {device} ({_one_line(error)}); take another device, or device_map"
        ) from error


def _check_architecture(name: str, config: Any) -> None:
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING,
        MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
    )

    if type(config) not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
        kind = "no model that reads images and writes text"
        if type(config) in MODEL_FOR_CAUSAL_LM_MAPPING:
            kind = "a language model that reads no images"
            if hasattr(config, "vision_config"):  # Phi-4-multimodal
                kind = "no model of images and text to transformers, but a language model with more inputs of its own"
        elif hasattr(config, "vision_config") or hasattr(config, "image_size"):
            kind = "a model of images that writes no text, such as encoder takes"
        raise DataEngineError(
            f"{name}: {config.model_type} is {kind}; give a vision-language model's folder or name as student"
        )
    known = hasattr(config, "qformer_config") or config.model_type == "florence2"
    if is_encoder_decoder(config) and not known:
        raise DataEngineError(
            f"{name}: {config.model_type} is an encoder-decoder, of which only BLIP-2 and InstructBLIP with T5, and "
            "Florence-2, are supported; give one of these or a decoder-only model"
        )


def torch_device(device: str) -> str | None:
    """torch's name for `device`, None for `device_map`. Raises DataEngineError for a device that is not there."""
    if device == "device_map":
        return None
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        found = torch.device(device)
    except RuntimeError as error:
        raise DataEngineError(
            f"device {device!r}: no such kind; choose auto, cpu, cuda, cuda:0 or device_map"
        ) from error
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise DataEngineError(
            f"device {device!r}: torch sees {torch.cuda.device_count()} CUDA devices here; choose auto or cpu, or "
            "install a torch that fits the driver"
        )
    return str(found)


def _one_line(error: Exception) -> str:
    return one_line(str(error))[:200] or type(error).__name__
