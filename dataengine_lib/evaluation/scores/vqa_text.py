"""Step 1: answers as VQA's evaluation compares them: punctuation, numbers as words, articles and contractions.

Source: PythonEvaluationTools/vqaEvaluation/vqaEval.py of GT-Vision-Lab/VQA, with its quirks, since scores have to be
equal: see `without_punctuation`.
"""

import re

_MARKS = ';/[]"{}()=+\\_-><@`,?!'
_COMMA_IN_NUMBER = re.compile(r"\d,\d")  # matches the middle of 1,000
_PERIOD = re.compile(r"\.(?!\d)")  # not the one in 3.5, but also that of "St. 5"
_MOST_PERIODS = 32  # the script passes re.UNICODE, which is 32, as the number of replacements
_NUMBERS = {
    "none": "0", "zero": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7",
    "eight": "8", "nine": "9", "ten": "10",
}  # fmt: skip
_ARTICLES = {"a", "an", "the"}
# The script's words; it restores an apostrophe where just one is missing: dont, couldnt've, couldn'tve.
_CONTRACTED = """
ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't he'd he'd've he's
how'd how'll how's isn't it'd it'd've it'll ma'am mightn't mightn't've might've mustn't must've needn't not've o'clock
oughtn't 'ow's'at shan't she'd've should've shouldn't shouldn't've somebody'd've somebody'll somebody's someone'd
someone'd've someone'll someone's something'd something'd've something'll that's there'd there'd've there're there's
they'd they'd've they'll they're they've 'twas wasn't we'd've we've weren't what'll what're what's what've when's
where'd where's where've who'd who'd've who'll who's who've why'll why're why's won't would've wouldn't wouldn't've
y'all y'all'll y'all'd've you'd you'd've you'll you're you've
"""
_RESTORED = {
    word[:place] + word[place + 1 :]: word
    for word in _CONTRACTED.split()
    for place, character in enumerate(word)
    if character == "'"
} | {"somebody'd": "somebodyd"}  # as the script has it


def without_punctuation(text: str) -> str:
    """The text without marks: each becomes a space, or nothing where it stands beside one or the text has a 1,000.

    Whether a mark stands beside a space is looked for once in the whole text, not at each place. Apostrophes and colons
    stay; a full stop goes unless a digit follows.
    """
    has_number = _COMMA_IN_NUMBER.search(text)
    found = text
    for mark in _MARKS:
        beside_space = f"{mark} " in text or f" {mark}" in text
        found = found.replace(mark, "" if beside_space or has_number else " ")
    return _PERIOD.sub("", found, count=_MOST_PERIODS)


def vqa_key(text: str) -> str:
    """An answer as VQA's evaluation compares it: `The two dogs.` is `2 dogs`, `dont` is `don't`."""
    plain = without_punctuation(text.replace("\n", " ").replace("\t", " ").strip())
    words = (_NUMBERS.get(word, word) for word in plain.lower().split())
    return " ".join(_RESTORED.get(word, word) for word in words if word not in _ARTICLES)
