"""Step 1, `rank: generate`: which option a written answer names; what names none or two is never guessed."""

import re
from collections.abc import Sequence

from dataengine_lib.core.records import LETTERS
from dataengine_lib.replies.answer_words import (
    NO_OPTION,
    OptionMentions,
    Options,
    after_reasoning,
    cleaned,
    option_key,
)

CANNOT_TELL = "cannot tell"  # what a student may say in place of an option

_TOKEN = re.compile(r"<\|\w{1,30}\|>|</?(?:s|b|i|em|strong|p|br)\s?/?>", re.IGNORECASE)
_LATEX_TEXT = re.compile(r"\\(?:text|textbf|mathrm|mathbf)\{([^{}\n]{0,200})\}")
_MARKED_ANSWER = re.compile(
    r"\\boxed\{([^{}\n]{0,200})\}|<answer>\s*([^<]{0,500}?)\s*</answer>", re.IGNORECASE
)
_NEXT_QUESTION = re.compile(r"(?<=\S)\s*\n[^\w\n]*(?:question|q)\s*:", re.IGNORECASE)
_EXPLANATION = re.compile(
    r"(?<=\S)\s+#*\s*(?:explanation|reason|reasoning|rationale|justification|note)\s*:", re.IGNORECASE
)
_STATED = re.compile(
    r"(?:\bans(?:wer)?|\b(?:correct|best|right|final|my)\s+(?:option|choice))\b"
    r"(?:\s+(?:to|for|of|among|in)\s[^.:;\n]{1,100}?)?"
    r"(?:\s+(?:is|(?:would|must|should|will|has\s+to|seems\s+to|appears\s+to)\s+be)\b(?:\s*:)?"
    r"|[\"']?\s*[:=]|\s+[-–—](?=\s))"
    r"(?:\s+(?:most\s+)?(?:likely|probably|clearly|definitely|certainly|indeed|actually|simply)\b)?"
    r"|(?:^|\n)[^\w\n]*(?:the\s+)?(?:final\s+|correct\s+)?answer\b(?=\s*\n|\s+[(\[]?(?-i:[A-Z])\b)",
    re.IGNORECASE,
)
_NOT_STATED = re.compile(  # before it
    r"(?:\b(?:if|whether|unless|suppose|assuming|wrong|incorrect|other|another)"
    r"|(?:n't|\bnot|\bnever)\s+(?:think|believe|say|mean))\s+(?:that\s+)?(?:the\s+|my\s+)?(?:correct\s+)?$",
    re.IGNORECASE,
)
_SAYS_NOTHING = re.compile(  # behind it
    r"\W*(?:not|never|correct|right|wrong|incorrect|clear|obvious|based|shown|given|found|supported)\b",
    re.IGNORECASE,
)
_LEAD_WORDS = {"the", "my", "a", "an", "so", "and", "or", "final", "correct", "best", "right", "option"}
_LABEL = re.compile(
    r"[\s\"'“‘>#•]*(?:[-*]\s+)?(?P<called>(?:option|choice|letter)\s+)?"
    r"(?:[(\[]\s?(?P<inside>[A-Za-z])\s?[)\]][.:]?|(?P<bare>[A-Za-z])(?![\w&+#]|['-]\w)"
    r"(?P<mark>\s?[).:\]](?![.)\]])|,|\s?[-–—=](?=\s)|))",
    re.IGNORECASE,
)
_REASON = re.compile(r"\s+(?:because|since|which|due\s+to|as\s+(?:it|the|this|that|there|they))\b")
_ANOTHER = re.compile(  # a second letter straight behind the first
    r"[\s.,;:)\]]*(?:(?:/|&|\+|\b(?:or|and|then|vs|maybe|perhaps|possibly|also)\b)[\s.,]*)+"
    r"(?:(?:also|maybe|option|choice)\s+)*[(\[]?([A-Z])(?![\w'])"
    r"|\s*,\s*[(\[]?([B-HJ-Z]|A(?!\s+\w))(?![\w'])"
    r"|[\s.,;:)\]]*(?:[(\[]([A-Za-z])[)\]]|([A-Za-z])(?:[).:](?!\w)|\s*$))",
)
_AND = re.compile(r"\s*(?:,|/|&|,?\s*(?:or|and)\b)\s*")
_RULED_OUT = re.compile(
    r"\s*\?\s*\w|[\s:,–-]*(?:no|wrong|incorrect|false)\b(?!\s+\w)|\s+(?:cannot|(?:is|are|was|does|do|did|can|could|would|should|seems?|looks?|must|may|might)"
    r"(?:n't|(?:\s+\w+){0,2}?\s+(?:not|wrong|incorrect|false|unlikely|too|ruled\s+out|eliminated)))\b",
    re.IGNORECASE,
)
_VERDICT = (
    r"[)\].:]{0,2}\s+(?:is|must\s+be|would\s+be|seems|looks)\s+(?:\w+ly\s+)?(?:the\s+)?(?:most\s+)?"
    r"(?:correct|right|best|likely|accurate|appropriate|suitable|answer)\b"
)
_CLAUSE = (
    r"(?:^|[.!?;:\n]\s*|\w\w,\s*|\b(?:so|thus|therefore|hence|think|believe|that|option|choice|answer)\s+)"
)
_CHOOSES = re.compile(
    r"\b(?:choose|pick|select|go\s+with|going\s+with|opt\s+for|vote\s+for|say|it\s+is|it's|this\s+is"
    r"|it\s+(?:must|would|should)\s+be)\s+(?=[(\[]|(?:option|choice|letter)\b|(?-i:[A-Z])(?!\w))",
    re.IGNORECASE,
)
_REFUSED = re.compile(r"(?:n't|\bnot|\bnever|\bcannot)\s+(?:\w+\s+)?$", re.IGNORECASE)


def written_choice(text: str, choices: Sequence[str]) -> int | None:
    """The place of the option that `text` names, None when that cannot be told.

    The first rule that finds something decides; where it finds two options, or a letter beside another option's
    text, the answer is None:

    1. The whole reply is an option's text, or its letter in brackets and its text.
    2. The last final answer: `Answer: B`, `the answer is cat`, a boxed one, one in `<answer>`. Two that differ
       with no word between them are two.
    3. A choice in words: `B is correct`, `I would choose B`, `It is B`. This and what follows count only where the
       reply says no other option's letter, nor only another's text.
    4. The first line begins with a letter that is marked as one (`B`, `b.`, `(B)`, `B) cat`, `B, because …`) or
       with an option's text and a stop or comma, or the last line is an option and nothing else.
    5. The letters in brackets and, in a reply of one line, the options' whole texts; nothing where the reply doubts
       (`maybe`, `or`).

    From rule 3 on, nothing is said by a sentence that denies or asks something, by what stands behind `because` and
    its like, and by an explanation under its heading. Thoughts before `</think>` are not read at all, nor what
    follows when the student asks itself the next question.
    """
    options = Options(choices)
    reply = after_reasoning(text)[0].strip()
    if not reply:
        return None
    if whole := _whole(reply, options):
        return _only(whole)
    reply = _marked(cleaned(reply))
    if option_key(reply) == CANNOT_TELL:  # an option may be in these words
        return None
    reply = _NEXT_QUESTION.split(reply)[0]
    if (stated := _stated(reply, options)) is not None:
        return _only(stated)
    words = OptionMentions(_EXPLANATION.split(reply)[0], options)
    said = _chosen(words.text, options) or _lead(words.text, options)
    if said:
        texts = words.by_text() - {NO_OPTION}
        return _only(said | words.by_letter() | (texts if not texts & said else set()))
    return _only(_sentence(words, texts="\n" not in reply))


def _only(places: set[int]) -> int | None:
    return next(iter(places)) if len(places) == 1 and NO_OPTION not in places else None


def _whole(reply: str, options: Options) -> set[int]:
    """Rule 1. A letter in brackets is the label, even where another option's text is that letter."""
    exact = {i for i, choice in enumerate(options.choices) if choice.strip() == reply}
    labelled = {
        i
        for i, (letter, choice) in enumerate(zip(LETTERS, options.choices, strict=False))
        if reply.split() == f"({letter}) {choice}".split()
    }
    return exact or labelled or options.equal_to(reply)


def _marked(reply: str) -> str:
    """A boxed answer and one in a tag as a line `Answer: …`; without end tokens and empty lines."""
    reply = _LATEX_TEXT.sub(r"\1", _TOKEN.sub("", reply))
    reply = _MARKED_ANSWER.sub(lambda found: f"\nAnswer: {found[1] or found[2] or ''}\n", reply)
    return "\n".join(line for line in map(str.strip, reply.split("\n")) if line)


def _stated(reply: str, options: Options) -> set[int] | None:
    """Rule 2; empty where the final answer is no option, None where there is none."""
    found = [one for one in _STATED.finditer(reply) if not _NOT_STATED.search(reply[: one.start()][-60:])]
    last: set[int] | None = None
    follows = False  # straight behind the one before
    for number, one in enumerate(found):
        end = found[number + 1].start() if number + 1 < len(found) else len(reply)
        part = reply[one.end() : end].strip()
        line = part.split("\n")[0]
        places = _answer(line, options) if line else None
        if places is None or (not places and _SAYS_NOTHING.match(line)):
            continue
        last = last | places if follows and last else places
        follows = not _more_words(part, options)
    return last


def _more_words(part: str, options: Options) -> bool:
    """Whether more stands there than an option and the words that lead to an answer."""
    for pattern in options.patterns:
        part = pattern.sub(" ", part) if pattern else part
    return any(len(word) > 1 and word.casefold() not in _LEAD_WORDS for word in re.findall(r"\w+", part))


def _answer(line: str, options: Options) -> set[int]:
    """The options that stand behind `the answer is`."""
    first = OptionMentions(line, options).first_sentence()
    label = _label(line, options)
    if label is not None and len(option_key(line)) == 1:
        return label  # `Answer: A` means the letter, whatever the options' texts
    return (
        options.equal_to(line)
        or options.equal_to(first)
        or label
        or (set() if label is not None else _sentence(OptionMentions(first, options), texts=True))
    )


def _chosen(reply: str, options: Options) -> set[int]:
    """Rule 3."""
    found: set[int] = set()
    for letter, pattern in zip(LETTERS, options.patterns, strict=False):
        own = rf"(?:[)\].:]{{0,2}}\s+{pattern.pattern})?" if pattern else ""
        verdict = rf"{_CLAUSE}[(\[]?(?-i:{letter}){own}{_VERDICT}"
        if re.search(verdict, reply, re.IGNORECASE):
            found.add(options.index_of(letter))
    for one in _CHOOSES.finditer(reply):
        if not _REFUSED.search(reply[: one.start()][-40:]):
            found |= _label(reply[one.end() :].split("\n")[0], options) or set()
    return found


def _lead(reply: str, options: Options) -> set[int]:
    """Rule 4."""
    first, *more = reply.split("\n")
    found = _first_line(first, options)
    alone = [_alone(line, options, last=line is more[-1]) for line in more]
    return found.union(*alone) if found or (alone and alone[-1]) else set()


def _first_line(line: str, options: Options) -> set[int]:
    """The options that a line begins with: a label, or a text that is its first sentence or stands before a comma."""
    first = OptionMentions(line, options).first_sentence()
    if found := _label(line, options) or options.equal_to(first):
        return found
    before = options.equal_to(first.partition(",")[0])  # `No, they are not.`
    return before and before | OptionMentions(first, options).by_text()


def _alone(line: str, options: Options, last: bool) -> set[int]:
    """The option that a later line is, by letter or letter and text; the last line also by text alone."""
    if re.match(r"\s*[-*•]\s", line):  # one of a list
        return set()
    if label := _LABEL.match(line):
        place, behind = options.index_of(label["inside"] or label["bare"]), line[label.end() :]
        if place != NO_OPTION and (not option_key(behind) or place in options.equal_to(behind)):
            return {place}
    return options.equal_to(line) if last else set()


def _sentence(words: OptionMentions, texts: bool) -> set[int]:
    """Rule 5."""
    if words.is_in_doubt():
        return set()
    letters, said = words.by_letter(), words.by_text()
    return letters | said if words.by_marked_letter() or (said and texts) else set()


def _label(part: str, options: Options) -> set[int] | None:
    """The options whose letters `part` begins with; None where it begins with no letter that is marked as one."""
    found = _LABEL.match(part)
    if found is None:
        return None
    place, behind = options.index_of(found["inside"] or found["bare"]), part[found.end() :]
    rest = options.rest_after(place, behind)  # None: the option's own text does not follow
    marked = bool(found["inside"]) or _is_marked(found["bare"], found["mark"].strip(), behind, rest)
    if not marked:
        if found["mark"] or not found["bare"].isupper() or found["bare"] in "AI":
            unclear = found["mark"].strip() == ":"  # Q: … A: …
        else:
            unclear = bool(_ANOTHER.match(behind)) or any(
                options.rest_after(other, behind) is not None for other in range(len(options.choices))
            )
        return {place, NO_OPTION} if unclear else None
    after = found["mark"] + behind if rest is None and found["mark"] else behind if rest is None else rest
    if second := _ANOTHER.match(after):
        return {place, options.index_of(next(one for one in second.groups() if one))}
    if second := _AND.match(after):
        also = {
            i for i in range(len(options.choices)) if options.rest_after(i, after[second.end() :]) is not None
        }
        if also:
            return {place} | also
    if _RULED_OUT.match(after):
        return None
    if found["mark"] == "," and OptionMentions(part, options).is_excluded(found.start("bare")):
        return None  # `A, which has horns, is wrong`
    return {place} if rest is not None or place == NO_OPTION else {place} | _against(place, behind, options)


def _is_marked(letter: str, mark: str, behind: str, rest: str | None) -> bool:
    """Whether a letter without brackets is a label: not the article, the pronoun or an abbreviation.

    `rest` is what follows the option's own text, None where that does not stand there.
    """
    if mark == "" and rest is not None:
        return letter.isupper() and (letter not in "AI" or not re.search(r"\w", rest))
    if mark == "":
        ends = re.fullmatch(r"[\s\"'”!?}]*", behind)
        return bool(ends) or (letter.isupper() and letter != "I" and bool(_REASON.match(behind)))
    if rest is not None or mark[0] in ")]":
        return True
    if mark == ".":
        return not behind[:1].strip()
    if mark == ":":
        return letter not in "AaIi" or not behind.strip()
    return letter.isupper() and letter != "I"


def _against(place: int, behind: str, options: Options) -> set[int]:
    """The options that the words behind a label speak of, where they do not speak of its own."""
    few = {*option_key(behind).split()} - {"a", "an", "the"}
    if 0 < len(few) < 3 and not few & {*options.keys[place].split()}:  # `B. Obama` may be Barack Obama
        return {i for i, text in enumerate(options.keys) if few & {*text.split()}}
    texts = OptionMentions(OptionMentions(behind, options).first_sentence(), options).by_text() - {NO_OPTION}
    return set() if place in texts else texts
