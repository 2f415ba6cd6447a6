"""Loads a student's processor (steps 1 and 5) so that scores do not depend on which vision packages are installed."""

from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoImageProcessor, AutoProcessor, AutoTokenizer
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING
from transformers.utils import PushToHubMixin, cached_file

from dataengine_lib.core.files import read_json


def load_processor(name: str) -> Any:
    """The processor of a model folder or hub name, with image processors that use PIL.

    torchvision's image processors resize in another way; with PIL's, scores are the same with and without
    torchvision. Raises what transformers raises for a damaged or missing file.
    """
    try:
        return AutoProcessor.from_pretrained(name, backend="pil", trust_remote_code=False)
    except ImportError:
        # Qwen-VL's and SmolVLM's video processors need torchvision; images do not
        return _processor_without_videos(name)


class _UnusedVideoProcessor(PushToHubMixin):
    """Takes the place of a video processor, and keeps its settings for the folder that is saved."""

    _auto_class = None
    # SmolVLM's chat template reads the first two, MiniCPM-V's processor the others
    num_frames = fps = slice_mode = downsample_mode = None

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings

    def to_dict(self) -> dict[str, Any]:
        return self.settings


def _processor_without_videos(name: str) -> Any:
    family: Any = PROCESSOR_MAPPING[type(AutoConfig.from_pretrained(name, trust_remote_code=False))]
    settings, _ = family.get_processor_dict(name)
    # settings of videos are part of the processor's, or lie in a file of their own
    file = cached_file(name, "video_preprocessor_config.json", _raise_exceptions_for_missing_entries=False)
    videos = settings.get("video_processor") or (read_json(Path(file), dict[str, Any]) if file else {})
    parts = {
        "image_processor": AutoImageProcessor.from_pretrained(name, backend="pil", trust_remote_code=False),
        "tokenizer": AutoTokenizer.from_pretrained(name, trust_remote_code=False),
        "video_processor": _UnusedVideoProcessor(videos),
    }

    kind = _class_without_videos(family)
    return kind.from_args_and_dict([parts[key] for key in family.get_attributes()], settings)


def _class_without_videos(family: Any) -> Any:
    """A subclass of the family's processor that takes a stand-in for the video processor."""

    # replaces the family's check of a part's class, which the stand-in would fail
    def check(self: Any, argument_name: str, argument: Any) -> Any:
        if argument_name != "video_processor":
            return family.check_argument_for_proper_class(self, argument_name, argument)
        return _UnusedVideoProcessor

    # pickle finds a class by its name, but this one is made anew in each process that reads images
    def reduce(self: Any) -> Any:
        return _empty_without_videos, (family,), self.__dict__

    # under the family's own name: a saved folder records the class name
    return type(family.__name__, (family,), {"check_argument_for_proper_class": check, "__reduce__": reduce})


def _empty_without_videos(family: Any) -> Any:
    kind = _class_without_videos(family)
    return kind.__new__(kind)
