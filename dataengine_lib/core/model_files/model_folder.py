"""What is wrong with a model's or an adapter's folder, found before transformers loads it (steps 1, 2 and 5)."""

import json
from pathlib import Path
from typing import Any, Literal

from dataengine_lib.core.file_kinds.looks_like import looks_like
from dataengine_lib.errors import DataEngineError

Role = Literal["student", "encoder"]
_INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_PROCESSORS = ("processor_config.json", "preprocessor_config.json")
_TOKENIZERS = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "spiece.model", "vocab.json")
_MOST_SETTINGS = 1 << 26  # bytes of a JSON file of settings; the largest published index has 3 MB
_POINTER = b"version https://git-lfs.github.com/spec/"
_GIVE = {
    "student": "student must be a model folder or hub name",
    "encoder": "encoder must be a CLIP, SigLIP or DINOv2 model folder or name",
}


def check_model_folder(name: str, role: Role) -> None:
    """Raise DataEngineError, which says what to do, when the folder `name` cannot be a `role`; a hub name passes."""
    folder = Path(name)
    if "\0" in name:
        raise DataEngineError(f"{name!r}: no such folder; {_GIVE[role]}")
    if folder.is_file():
        kind = looks_like(folder)
        raise DataEngineError(f"{name}: is a file, not a folder ({kind}); {_GIVE[role]}")
    if _is_path(name) and not folder.is_dir():
        raise DataEngineError(f"{name}: no such folder; {_GIVE[role]}")
    if not folder.is_dir():
        return
    adapter = (folder / "adapter_config.json").is_file()
    if not (folder / "config.json").is_file() or (adapter and not has_weights(folder)):
        raise DataEngineError(f"{name}: {_without_config(folder, role)}")
    if adapter:
        raise DataEngineError(
            f"{name}: holds a model and an adapter (adapter_config.json), which transformers would put on the base model "
            "in its place; move one of them into a folder of its own"
        )
    config = _settings(folder / "config.json")
    if not isinstance(config.get("model_type"), str):
        raise DataEngineError(
            f"{folder / 'config.json'}: has no model_type, so it describes no model of transformers; download the "
            "model again"
        )


def check_model_files(name: str, role: Role) -> None:
    """Raise DataEngineError for files of the folder `name` that are missing or are pointers; a hub name passes."""
    folder = Path(name)
    if not folder.is_dir():
        return
    for file in sorted(folder.glob("*.json")):
        if (head := _head(file)).startswith(_POINTER) or head.lstrip()[:1] == b"<":
            raise DataEngineError(f"{file}: {looks_like(file)}")
    _check_weights_there(folder)
    needed = [_PROCESSORS, _TOKENIZERS] if role == "student" else [_PROCESSORS]
    for names in needed:
        if not any((folder / one).is_file() for one in names):
            raise DataEngineError(
                f"{folder}: no {' or '.join(names[:2])} in this folder; save or copy the model's processor into it too"
            )


def has_weights(folder: Path) -> bool:
    """Whether a folder holds a whole model's weights, not an adapter's alone."""
    return any((folder / one).is_file() for one in (*_WEIGHTS, *_INDEXES))


def has_processor(folder: Path) -> bool:
    """Whether a folder holds an image processor and a tokenizer."""
    return all(any((folder / one).is_file() for one in names) for names in (_PROCESSORS, _TOKENIZERS))


def check_adapter_folder(adapter: str) -> None:
    """Raise DataEngineError when the folder `adapter` holds no adapter that peft could load; a hub name passes."""
    folder = Path(adapter)
    remedy = "give a folder that peft saved, or the hub name of an adapter"
    if "\0" in adapter or (not folder.is_dir() and _is_path(adapter)):
        shown = repr(adapter) if "\0" in adapter else adapter
        raise DataEngineError(f"{shown}: no adapter_config.json in it; {remedy}")
    if not folder.is_dir():
        return
    if not (folder / "adapter_config.json").is_file():
        whole = (
            "it is a whole model: give it as student, without adapter"
            if (folder / "config.json").is_file()
            else ""
        )
        raise DataEngineError(f"{adapter}: no adapter_config.json in it; {whole or remedy}")
    _settings(folder / "adapter_config.json")
    files = [folder / name for name in ("adapter_model.safetensors", "adapter_model.bin")]
    there = [file for file in files if file.is_file()]
    if not there:
        raise DataEngineError(
            f"{adapter}: no weights beside adapter_config.json ({files[0].name}); copy or download the adapter again"
        )
    _check_no_pointer(there[0])


def adapter_base(adapter: str) -> str:
    """The model that a folder's adapter was made for, as its adapter_config.json names it; empty where unknown."""
    file = Path(adapter) / "adapter_config.json"
    if not file.is_file():
        return ""
    base = _settings(file).get("base_model_name_or_path")
    return base if isinstance(base, str) else ""


def lora_rank(adapter: str) -> int | None:
    """The largest rank in a folder's LoRA, by its adapter_config.json; None for another kind of adapter."""
    settings = _settings(Path(adapter) / "adapter_config.json")
    pattern = settings.get("rank_pattern")
    ranks = [settings.get("r"), *(pattern.values() if isinstance(pattern, dict) else [])]
    found = [rank for rank in ranks if isinstance(rank, int) and rank > 0]
    return max(found, default=None) if settings.get("peft_type") == "LORA" else None


def loading_fault(name: str, error: Exception, role: Role) -> str:
    """What a library's error about loading `name` means, with what to do; empty for an error of no known kind."""
    words = str(error)
    served = ", or serve it and give api:MODEL as student" if role == "student" else ""
    if "trust_remote_code" in words or "contains custom code" in words:
        return (
            "needs code of its own repository to be run, which this project never does; take a version that "
            f"transformers has built in (often named …-hf){served}"
        )
    if "does not recognize this architecture" in words:
        kind = _settings(Path(name) / "config.json").get("model_type") if Path(name).is_dir() else ""
        kind = f"its model_type {kind!r}" if kind else "its model_type"
        return f"{kind} is not known to the transformers that is installed; update transformers, or check config.json"
    if "does not appear to have a file named config.json" in words:
        return f"has no config.json; an adapter belongs in adapter, and its base model in {role}"
    if (
        "not a valid model identifier" in words
        or "Repository Not Found" in words
        or "404 Client Error" in words
    ):
        return "no such model on the Hugging Face hub, or a private one; check its name, or set HF_TOKEN"
    if "gated repo" in words or "401 Client Error" in words or "403 Client Error" in words:
        return "this model's licence has to be accepted on its page on the Hugging Face hub, and HF_TOKEN set"
    unreached = (
        "couldn't connect",
        "offline mode",
        "If you were trying to load it from",
        "LocalEntryNotFound",
    )
    if not Path(name).is_dir() and any(one in words for one in unreached):
        return (
            "is no folder here, and the Hugging Face hub has no such model or cannot be reached; check the "
            "path or the name, and the internet connection"
        )
    if "Weights only load failed" in words or "weights_only" in words:
        files = [file for file in sorted(Path(name).glob("*.bin")) if _head(file)]
        kind = looks_like(files[0]) if files else ""
        kind = (
            f" ({files[0].name} {kind})"
            if files and "checkpoint" not in kind and "pickle" not in kind
            else ""
        )
        return (
            f"its weights are damaged, or a pickle with more than tensors in it, which could run code{kind}; "
            "download the model again, in safetensors format"
        )
    return ""


def _without_config(folder: Path, role: Role) -> str:
    """Why a folder without config.json is no model, with what to do."""
    if (folder / "adapter_config.json").is_file():
        base = adapter_base(str(folder))
        made_for = f" (made for {base})" if base else ""
        if role == "encoder":
            return f"this is an adapter{made_for}, no encoder; {_GIVE[role]}"
        return f"this is an adapter{made_for}: set adapter to this folder, and student to the model that it was made for"
    if files := sorted(folder.glob("*.gguf")):
        return f"no config.json in this folder, but {files[0].name}, a checkpoint of llama.cpp; " + (
            _GIVE[role] if role == "encoder" else "serve it there and give api:MODEL as student"
        )
    inner = sorted(path.parent.name for path in folder.glob("*/config.json"))
    also = f" (there is one in {inner[0]}/)" if inner else ""
    return f"no config.json in this folder{also}; {_GIVE[role]}"


def _check_weights_there(folder: Path) -> None:
    """Raise DataEngineError for weights that are missing, in part or as pointers; damage is found while loading."""
    names = {name for name in _WEIGHTS if (folder / name).is_file()}
    index = next((folder / name for name in _INDEXES if (folder / name).is_file()), None)
    if not names and index is None:
        raise DataEngineError(
            f"{folder}: no weights beside config.json (model.safetensors); copy or download the model again"
        )
    if "model.safetensors" not in names and index is not None:
        shards = _settings(index).get("weight_map")
        if not isinstance(shards, dict) or not all(isinstance(shard, str) for shard in shards.values()):
            raise DataEngineError(f"{index}: holds no weight_map; copy or download the model again")
        names = {shard for shard in shards.values() if "\0" not in shard}
    missing = sorted(name for name in names if not (folder / name).is_file())
    if missing:
        raise DataEngineError(
            f"{folder}: {len(missing)} of {len(names)} files of weights are missing, {missing[0]} among them; copy or "
            "download the model again"
        )
    for name in sorted(names):
        _check_no_pointer(folder / name)


def _check_no_pointer(file: Path) -> None:
    head = _head(file)
    if not head or head.startswith(_POINTER) or head.lstrip()[:1] == b"<":
        raise DataEngineError(f"{file}: {looks_like(file)}; copy or download it once more")


def _head(file: Path) -> bytes:
    with file.open("rb") as stream:
        return stream.read(64)


def _settings(file: Path) -> dict[str, Any]:
    """A JSON object; raises DataEngineError naming the file when it holds anything else."""
    try:
        if file.stat().st_size > _MOST_SETTINGS:
            raise ValueError("more than 64 MB of settings")
        content = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise DataEngineError(f"{file}: cannot be read as JSON, it {looks_like(file)}") from error
    if not isinstance(content, dict):
        raise DataEngineError(f"{file}: must hold a JSON object of settings; copy or download it once more")
    return content


def _is_path(name: str) -> bool:
    """Whether this is no hub name, which is `name` or `owner/name`; the hub is not asked for anything else."""
    return name.startswith((".", "/", "~")) or name.count("/") > 1 or "\\" in name
