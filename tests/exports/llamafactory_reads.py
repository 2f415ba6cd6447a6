"""Run beside LLaMA-Factory: what its own data code makes of an export, as JSON.

usage: llamafactory_reads.py FOLDER NAME STUDENT    (FOLDER holds dataset_info.json with the data set NAME)
"""

import json
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace

from datasets import load_dataset
from transformers import AutoProcessor

# LLaMA-Factory imports it for sounds, of which there are none here
sys.modules["torchaudio"] = ModuleType("torchaudio")
sys.modules["torchaudio"].__spec__ = ModuleSpec("torchaudio", None)

from llamafactory.data.converter import get_dataset_converter  # noqa: E402
from llamafactory.data.parser import get_dataset_list  # noqa: E402
from llamafactory.data.processor import SupervisedDatasetProcessor  # noqa: E402
from llamafactory.data.template import get_template_and_fix_tokenizer  # noqa: E402

folder, name, student = sys.argv[1:]
processor = AutoProcessor.from_pretrained(student)
tokenizer = processor.tokenizer
settings = SimpleNamespace(
    media_dir=folder, template="llava", tool_format=None, default_system=None, train_on_prompt=False,
    mask_history=False, cutoff_len=2048, enable_thinking=None, streaming=False,
)  # fmt: skip
(described,) = get_dataset_list([name], folder)
rows = load_dataset("json", data_files=f"{folder}/{described.dataset_name}", split="train")
aligned = rows.map(
    get_dataset_converter(described.formatting, described, settings), remove_columns=rows.column_names
)
template = get_template_and_fix_tokenizer(tokenizer, settings)
made = SupervisedDatasetProcessor(template, tokenizer, processor, settings).preprocess_dataset(aligned[:])
found = [
    {
        "learnt": tokenizer.decode([token for token in labels if token != -100]),
        "images": images,
        "image_tokens": tokens.count(processor.image_token_id),
    }
    for labels, tokens, images in zip(made["labels"], made["input_ids"], made["images"], strict=True)
]
print(json.dumps(found))
