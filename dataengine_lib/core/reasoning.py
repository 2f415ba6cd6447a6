"""Steps 0, 1, 3 and 4: the thoughts that a model writes before its answer, and the answer behind them."""

import re

# What begins thoughts, by the models' chat templates and the reasoning parsers of vLLM and SGLang.
_BEGIN = re.compile(
    r"<(?:seed:)?(?:think|thinking|thoughts?|reasoning)>"  # "<think>" of Qwen and DeepSeek, "<thought>" of Gemini
    r"|\[THINK\]|◁think▷"  # Magistral · Kimi
    r"|<\|(?:begin_of_thought|START_THINKING|think)\|>"  # OpenThinker · Command A
    r"|<\|channel>thought\b"  # Gemma 4
    # gpt-oss: "<|channel|>analysis<|message|>", "<|channel|>commentary to=tool<|message|>"
    r"|<\|channel\|>\s?(?:analysis|commentary)[^<]{0,80}<\|message\|>"
    r"|\A\s*Here(?: is|'s) my thought process:"  # Granite
    r"|(?-i:\Aanalysis(?=[A-Z]))",  # gpt-oss where the special tokens were removed: "analysisWe need to"
    re.IGNORECASE,
)
# What ends them; the opening mark may be missing, since some chat templates put it into the prompt.
_END = re.compile(
    r"</(?:seed:)?(?:think|thinking|thoughts?|reasoning)>"
    r"|\[/THINK\]|◁/think▷"
    r"|<\|(?:end_of_thought|END_THINKING|/think)\|>"
    r"|<channel\|>"
    r"|<\|channel\|>\s?final[^<]{0,80}(?:<\|constrain\|>[^<]{0,40})?<\|message\|>"
    r"|Here(?: is|'s) my response:"
    r"|(?-i:assistantfinal)",  # gpt-oss without special tokens: "only that word.assistantfinalfour"
    re.IGNORECASE,
)
# What stands around the answer behind thoughts: "<answer>B</answer>" at its ends, special tokens anywhere.
_AROUND = re.compile(
    r"\A\s*<(?:answer|response)>|</(?:answer|response)>\s*\Z"
    r"|<\|(?:begin|end)_of_(?:box|solution)\|>|<\|(?:START|END)_RESPONSE\|>|<\|(?:return|end)\|>\s*\Z",
    re.IGNORECASE,
)

# Every mark above holds one of these, in small letters. Few texts do, and only those are searched for marks, which
# takes ten times as long or more: ledgers of 100,000 replies are read at each start.
_SIGNS = ("<", "think]", "think▷", " is my ", "'s my ", "analysis", "assistantfinal")


def after_reasoning(text: str) -> tuple[str, bool]:
    """(what a reply says behind its thoughts, whether the last ones are unfinished)."""
    small = text.lower()
    if not any(map(small.__contains__, _SIGNS)):
        return text, False
    *before, behind = _END.split(text)
    # "…</think>B<think>…" is ("B", True)
    answer, *unfinished = _BEGIN.split(behind, maxsplit=1)
    if before and not behind.strip() and (begin := _BEGIN.search(text)):
        # "B <think>as it has horns</think>": the answer stands before its thoughts
        answer = text[: begin.start()] if not _END.search(text, 0, begin.start()) else ""
    return _AROUND.sub("", answer) if "<" in answer else answer, bool(unfinished)
