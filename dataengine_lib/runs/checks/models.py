"""Before a run: can student, adapter and encoder be loaded? Folders are looked at, names looked up at the hub."""

import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dataengine_lib.core.files import read_json
from dataengine_lib.core.model_files.model_folder import (
    Role,
    check_adapter_folder,
    check_model_files,
    check_model_folder,
)
from dataengine_lib.errors import DataEngineError
from dataengine_lib.runs.checks.finding import Finding
from dataengine_lib.runs.workflow import Planned

_ROLES: dict[str, Role] = {"student": "student", "encoder": "encoder"}
_HUB_SECONDS = 5


def check_models(planned: Sequence[Planned], *, hub: bool) -> Iterator[Finding]:
    """A finding for every student, adapter and encoder that the steps load; with `hub` names are looked up there.

    Models that the run makes itself, servers, and folders that do not exist (a fault of paths) are passed over.
    """
    seen: set[tuple[str, str]] = set()
    for item in planned:
        for name in ("student", "adapter", "encoder"):
            value = str(getattr(item.config, name, None) or "").removeprefix("vllm:")
            if (
                not value
                or name in item.wired
                or ":" in value
                or value.startswith("{")
                or (name, value) in seen
            ):
                continue
            seen.add((name, value))
            subject = f"{item.step.name}.{name}"
            if Path(value).exists():
                yield _folder(subject, name, value)
            elif hub and value.count("/") <= 1 and not value.startswith((".", "~", "/")):
                yield _hub_name(subject, name, value)


def _folder(subject: str, name: str, value: str) -> Finding:
    try:
        if name == "adapter":
            check_adapter_folder(value)
        else:
            check_model_folder(value, _ROLES[name])
            _check_own_code(value)
            check_model_files(value, _ROLES[name])
    except DataEngineError as error:
        return Finding("bad", subject, str(error))
    return Finding("ok", subject, value)


def _check_own_code(folder: str) -> None:
    """Raise DataEngineError for a model that only code of its own repository can load."""
    config: dict[str, object] = read_json(Path(folder) / "config.json", dict[str, object])
    kind = str(config.get("model_type", ""))
    known = _is_known(kind)
    if config.get("auto_map") and not known:
        raise DataEngineError(
            f"{folder}: needs code of its own repository to be run (auto_map in config.json), which this project never "
            "does; take a version that transformers has built in (often named …-hf), or serve it as api:MODEL"
        )
    if not known:
        raise DataEngineError(
            f"{folder}: its model_type {kind!r} is not known to the transformers that is installed; update transformers, "
            "or check config.json"
        )


def _is_known(kind: str) -> bool:
    """Whether the installed transformers names this model_type; read as text, since importing its tables loads torch."""
    spec = importlib.util.find_spec("transformers")
    folders = spec.submodule_search_locations if spec else None
    tables = Path(next(iter(folders))) / "models" / "auto" if folders else None
    if tables is None or not tables.is_dir():
        return True
    return any(f'"{kind}"' in file.read_text(encoding="utf-8") for file in tables.glob("*.py"))


def _hub_name(subject: str, name: str, value: str) -> Finding:
    """What the cache, or the hub itself, knows of a name."""
    from huggingface_hub import HfApi, constants, try_to_load_from_cache
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

    settings = "adapter_config.json" if name == "adapter" else "config.json"
    if isinstance(try_to_load_from_cache(value, settings), str):
        return Finding("ok", subject, f"{value}, in the cache of the Hugging Face hub")
    if constants.HF_HUB_OFFLINE:
        return Finding(
            "bad", subject, f"{value}: no folder here, and not in the cache; HF_HUB_OFFLINE is set"
        )
    try:
        hub = HfApi()
        info = hub.model_info(value, timeout=_HUB_SECONDS)
        # its description is public, its files are not
        if info.gated:
            hub.auth_check(value)
    except GatedRepoError:
        return Finding(
            "bad",
            subject,
            f"{value}: its licence has to be accepted on its page on the hub, and HF_TOKEN set",
        )
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else "an error"
        # of a mirror's 401 and 404 the library makes no RepositoryNotFoundError
        if isinstance(error, RepositoryNotFoundError) or status in (401, 404):
            return Finding(
                "bad",
                subject,
                f"{value}: no folder here and no such model on the Hugging Face hub, or a private one; check its name, "
                "or set HF_TOKEN",
            )
        return Finding(
            "warn", subject, f"{value}: no folder here, and the Hugging Face hub answers {status}; try later"
        )
    except Exception as error:  # any network library's own
        reason = type(error).__name__
        return Finding(
            "warn", subject, f"{value}: no folder here, and the Hugging Face hub does not answer ({reason})"
        )
    fault = _hub_fault(name, info)
    return Finding("bad" if fault else "ok", subject, f"{value}{fault or ', on the Hugging Face hub'}")


def _hub_fault(name: str, info: Any) -> str:
    """What is wrong with a model by its list of files and its settings on the hub; empty when nothing is."""
    files = {one.rfilename for one in info.siblings or []}
    is_adapter = "adapter_config.json" in files
    if name == "adapter":
        return (
            ""
            if is_adapter or not files
            else ": has no adapter_config.json, so it is no adapter; check its name"
        )
    if files and "config.json" not in files:
        if is_adapter and name == "student":
            return ": this is an adapter: set adapter to this name, and student to the model that it was made for"
        return ": has no config.json, so transformers cannot load it; take the version for transformers"
    settings = info.config or {}
    kind = str(settings.get("model_type") or "")
    if kind and not _is_known(kind):
        if "auto_map" in settings or "custom_code" in (info.tags or []):
            return (
                ": needs code of its own repository to be run, which this project never does; take a version that "
                "transformers has built in (often named …-hf), or serve it as api:MODEL"
            )
        return f": its model_type {kind!r} is not known to the transformers that is installed; update transformers"
    return ""
