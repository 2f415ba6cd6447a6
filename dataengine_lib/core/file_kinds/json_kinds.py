"""Kinds of JSON files by the keys of their rows or of the file itself (all steps): ours, and those of other tools."""

from collections.abc import Mapping
from typing import Any

# (keys that such a row has, what the file is and where it can go); the first whose keys are all there is taken
_ROWS = (
    # other tools' training data
    ("messages images", "chat messages with images, as LLaMA-Factory and ms-swift train on: {_READ}, {_CHATS}"),
    ("messages image", "chat messages with an image, as trainers read them: {_READ}, {_CHATS}"),
    ("prompt completion", "TRL's prompts and completions: {_CHATS}"),
    ("prompt chosen rejected", "preference pairs (chosen, rejected), which no step reads"),
    ("messages", "chat messages without images (OpenAI, LLaMA-Factory), which fine-tune reads as base_data"),
    ("conversations image", "LLaVA's conversations, which post-process and fine-tune (base_data) read"),
    ("conversations images", "ShareGPT conversations with images: {_READ}, {_CHATS}"),
    ("conversations", "conversations without images (ShareGPT), which fine-tune reads as base_data"),
    ("instruction answer image", "records of MLLM-DataEngine v2, which evaluate, post-process and fine-tune read"),
    ("instruction output", "LLaMA-Factory's alpaca rows: {_CHATS}"),
    ("query response", "ms-swift's queries and responses: {_CHATS}"),
    # answers of servers and other tools' results
    ("custom_id response", "replies of OpenAI's Batch API; generate-qa with mode batch fetches them itself"),
    ("custom_id body", "requests for OpenAI's Batch API"),
    ("doc_id resps", "samples of lmms-eval: {_RECORDED}"),
    ("doc_id filtered_resps", "samples of lmms-eval: {_RECORDED}"),
    ("index prediction", "predictions of VLMEvalKit: {_RECORDED}"),
    ("data annotations", "annotated tasks of Label Studio, which import-label-studio reads"),
    # ours
    ("line reason raw_instructions", "rejects of post-process (rejects.jsonl); it reads gptvqa_result.jsonl"),
    ("query_id kind reason", "queries without a reply (gptvqa_failed.jsonl); generate-qa asks them once more itself"),
    ("key teacher", "a ledger of paid replies, which the step that wrote it reads by itself"),
    ("key asked", "a ledger of paid replies, which the step that wrote it reads by itself"),
    (
        "raw_instructions question choices",
        "training data (gptvqa_train_data.json of post-process), which fine-tune and export read",
    ),
    ("raw_instructions", "replies (gptvqa_result.jsonl of generate-qa), which post-process reads"),
    ("question choices model_answer", "an evaluation (aokvqa_eval.json), which compare-rounds reads"),
    ("question choices predicted_choice_idx", "an evaluation (aokvqa_eval.json), which compare-rounds reads"),
    ("question choices", "questions like A-OKVQA's, which classify-questions, evaluate and fine-tune read"),
    ("image_id prompt question_type", "queries (gptvqa_prompt.json of construct-queries), which generate-qa reads"),
    ("question answer_type answers", "VQA questions without choices, which no step reads"),
    ("question image_id question_id", "VQA questions without choices, which no step reads"),
    # image annotations
    ("image_id bbox", "boxes of COCO alone: give the file that holds images and annotations"),
    ("image_id caption", "captions, which fine-tune reads as base_data; an image pool needs the images' list too"),
    ("id regions", "region descriptions of Visual Genome, which belong into the folder of an image pool"),
    ("image_id objects", "objects of Visual Genome, which belong into the folder of an image pool"),
    ("file_name", "a list of image files"),
)  # fmt: skip
_OBJECTS = (
    ("nbformat cells", "a Jupyter notebook"),
    ("images info", "COCO's list of images without annotations"),
    (
        "splits weights skipped",
        "the figures of evaluate (metrics.json); its questions are in aokvqa_eval.json",
    ),
    ("run steps rounds", "the state of a run (run.json)"),
    ("identity step inputs", "the manifest of a step"),
    ("kept dropped by_reason", "the counts of post-process (post_process.json)"),
    ("comparisons rounds weak_types", "the figures of compare-rounds (compare_rounds.json)"),
    ("study arms seeds runs", "the arms and runs of a study (study.json), which notebook 7 reads"),
    ("study arms pairs reference", "the figures of a study (study_results.json)"),
    (
        "method encoder types",
        "the causes of construct-queries (causes.json), which it reads as earlier_causes",
    ),
    ("loss mix student", "the log of fine-tune (train_log.json)"),
    ("requests prompt_tokens per_question_type", "the usage of generate-qa (usage.json)"),
    ("args logs", "samples of lmms-eval: {_RECORDED}"),
    ("results configs", "results of lmms-eval without samples: run it with --log_samples"),
    ("peft_type", "the settings of an adapter (adapter_config.json): give its folder as adapter"),
    ("model_type", "the settings of a model (config.json): give the model's folder"),
    ("weight_map", "the index of a checkpoint: give the model's folder"),
    ("openapi paths", "the description of a server"),
    ("error", "a server's error message, not the file itself"),
    ("detail", "a server's error message, not the file itself"),
)
_ENTRIES = (  # of an object whose values are objects
    ("decision", "decisions of a person (review.json), which post-process reads as review"),
    ("multiple_choice", "predictions in A-OKVQA's form: {_RECORDED}"),
    ("direct_answer", "predictions in A-OKVQA's form: {_RECORDED}"),
    ("weight_share asked", "the shares of construct-queries (sampling.json)"),
    ("file_name", "LLaMA-Factory's list of data sets (dataset_info.json)"),
    ("hf_hub_url", "LLaMA-Factory's list of data sets (dataset_info.json)"),
)
_COCO = {"bbox": " (instances)", "caption": " (captions)"}  # by a key of its annotations
_PLACES = {
    "{_CHATS}": "give the training data that it was exported from, or rewrite it as LLaVA's conversations",
    "{_READ}": "fine-tune reads them as base_data; elsewhere",
    "{_RECORDED}": "evaluate reads it as student recorded:FILE",
}
_MOST_KEYS = 6  # named of rows that are of no known kind


def rows_kind(rows: list[Any]) -> str:
    """What a list or JSON lines hold, by the first rows; empty for rows of an unknown kind."""
    first = next((row for row in rows if isinstance(row, dict)), None)
    return "" if first is None else _of_keys(_ROWS, first)


def object_kind(content: Mapping[str, Any]) -> str:
    """What a file with one object holds; values may be cut to their first entries. Empty for an unknown kind."""
    if "images" in content and isinstance(marks := content.get("annotations"), list):
        keys = set().union(*(mark for mark in marks if isinstance(mark, dict)))
        of = next((name for key, name in _COCO.items() if key in keys), "")
        more = ", or to fine-tune as base_data" if "caption" in keys else ""
        return f"COCO annotations{of}, which belong into the folder of an image pool{more}"
    if kind := _of_keys(_OBJECTS, content):
        return kind
    values = [value for value in content.values() if value not in ([], {}, None)]
    # numbers by type: bool is an int too
    if values and all(isinstance(value, int | float) for value in values):
        return "weights by question type (weight.json), which construct-queries reads as weight"
    if values and all(value in ("use", "never") for value in values):
        return "decisions about bad cases, which construct-queries reads as example_decisions"
    if values and all(isinstance(value, dict) for value in values):
        return _of_keys(_ENTRIES, values[0])
    lists = [value for value in values if isinstance(value, list)]
    if not lists:
        return _of_keys(_ROWS, content)  # one row alone
    first = next((row for rows in lists for row in rows if isinstance(row, dict)), {})
    if "question" in first and ("model_answer" in first or "predicted_choice_idx" in first):
        return "bad cases by question type (bad_case_aokvqa_classified.json), which construct-queries reads"
    if "question" in first and "choices" in first:
        return "questions by type, which evaluate and construct-queries read"
    return rows_kind([first])


def keys_shown(row: Mapping[str, Any]) -> str:
    """The first keys of an object of no known kind, for a message."""
    names = [key[:40] if key[:40].isprintable() else repr(key[:40]) for key in list(row)[:_MOST_KEYS]]
    return ", ".join(names) + (", …" if len(row) > _MOST_KEYS else "") if names else "no keys"


def _of_keys(kinds: tuple[tuple[str, str], ...], row: Mapping[str, Any]) -> str:
    kind = next((kind for keys, kind in kinds if row.keys() >= set(keys.split())), "")
    for name, text in _PLACES.items():
        kind = kind.replace(name, text)
    return kind
