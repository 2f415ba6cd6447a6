"""Step 1, `rank: generate`: which option a written answer names; where it names none or two, nothing is guessed."""

import re
from collections.abc import Sequence

from dataengine_lib.core.reasoning import after_reasoning
from dataengine_lib.core.records import LETTERS
from dataengine_lib.replies.answer_words import (
    NO_OPTION,
    OptionMentions,
    Options,
    cleaned,
    option_key,
)

CANNOT_TELL = "cannot tell"  # what a student may answer in place of an option

# matches "<|im_end|>" · "</s>" · "<br/>"
_TOKEN = re.compile(r"<\|\w{1,30}\|>|</?(?:s|b|i|em|strong|p|br)\s?/?>", re.IGNORECASE)
# matches "\text{cat}"
_LATEX_TEXT = re.compile(r"\\(?:text|textbf|mathrm|mathbf)\{([^{}\n]{0,200})\}")
# matches "\boxed{B}" · "<answer> B </answer>"
_MARKED_ANSWER = re.compile(
    r"\\boxed\{([^{}\n]{0,200})\}|<answer>\s*([^<]{0,500}?)\s*</answer>", re.IGNORECASE
)
# matches "\nQuestion:" behind an answer, where the student asks itself the next one
_NEXT_QUESTION = re.compile(r"(?<=\S)\s*\n[^\w\n]*(?:question|q)\s*:", re.IGNORECASE)
# matches " Explanation:" · "\n### Reason:" behind an answer
_EXPLANATION = re.compile(
    r"(?<=\S)\s+#*\s*(?:explanation|reason|reasoning|rationale|justification|note)\s*:", re.IGNORECASE
)
# matches "answer is" · "the correct option would be:" · "Answer to the question: most likely" · "My choice –", and
# "Final answer" at the start of a line with its letter or a line's end behind it
_STATED = re.compile(
    r"(?:\bans(?:wer)?|\b(?:correct|best|right|final|my)\s+(?:option|choice))\b"
    r"(?:\s+(?:to|for|of|among|in)\s[^.:;\n]{1,100}?)?"
    r"(?:\s+(?:is|(?:would|must|should|will|has\s+to|seems\s+to|appears\s+to)\s+be)\b(?:\s*:)?"
    r"|[\"']?\s*[:=]|\s+[-–—](?=\s))"
    r"(?:\s+(?:most\s+)?(?:likely|probably|clearly|definitely|certainly|indeed|actually|simply)\b)?"
    r"|(?:^|\n)[^\w\n]*(?:the\s+)?(?:final\s+|correct\s+)?answer\b(?=\s*\n|\s+[(\[]?(?-i:[A-Z])\b)",
    re.IGNORECASE,
)
_NOT_STATED = re.compile(  # before it: "if the correct" answer is … · "I don't think that my" answer is …
    r"(?:\b(?:if|whether|unless|suppose|assuming|wrong|incorrect|other|another)"
    r"|(?:n't|\bnot|\bnever)\s+(?:think|believe|say|mean))\s+(?:that\s+)?(?:the\s+|my\s+)?(?:correct\s+)?$",
    re.IGNORECASE,
)
_NAMES_NOTHING = re.compile(  # behind it: the answer is "not" … · "clear" · "based" on …
    r"\W*(?:not|never|correct|right|wrong|incorrect|clear|obvious|based|shown|given|found|supported)\b",
    re.IGNORECASE,
)
# words that lead to an answer and add nothing to it
_LEAD_WORDS = {"the", "my", "a", "an", "so", "and", "or", "final", "correct", "best", "right", "option"}
# an option's letter at the start of a text, with what marks it as a letter: "(B)" · "[b]:" · "Option B." · "- C)" ·
# "B," · "B – cat"; a bare "B" too, not that of "B&W", "C++" and "B-movie"
_LABEL = re.compile(
    r"[\s\"'“‘>#•]*(?:[-*]\s+)?(?P<called>(?:option|choice|letter)\s+)?"
    r"(?:[(\[]\s?(?P<inside>[A-Za-z])\s?[)\]][.:]?|(?P<bare>[A-Za-z])(?![\w&+#]|['-]\w)"
    r"(?P<mark>\s?[).:\]](?![.)\]])|,|\s?[-–—=](?=\s)|))",
    re.IGNORECASE,
)
# matches " because" of "B because it has horns"
_REASON = re.compile(r"\s+(?:because|since|which|due\s+to|as\s+(?:it|the|this|that|there|they))\b")
# a second letter right behind the first: " or C" · "/C" · ", C" · " (C)" · " C)"
_SECOND_LETTER = re.compile(
    r"[\s.,;:)\]]*(?:(?:/|&|\+|\b(?:or|and|then|vs|maybe|perhaps|possibly|also)\b)[\s.,]*)+"
    r"(?:(?:also|maybe|option|choice)\s+)*[(\[]?([A-Z])(?![\w'])"
    r"|\s*,\s*[(\[]?([B-HJ-Z]|A(?!\s+\w))(?![\w'])"
    r"|[\s.,;:)\]]*(?:[(\[]([A-Za-z])[)\]]|([A-Za-z])(?:[).:](?!\w)|\s*$))",
)
# what joins two options: " or " · ", and " · "/"
_JOINS = re.compile(r"\s*(?:,|/|&|,?\s*(?:or|and)\b)\s*")
# what rules a letter out behind it: "? No" · ": wrong" · " is not it" · " can't be" · " is ruled out"
_RULED_OUT = re.compile(
    r"\s*\?\s*\w|[\s:,–-]*(?:no|wrong|incorrect|false)\b(?!\s+\w)|\s+(?:cannot|(?:is|are|was|does|do|did|can|could|would|should|seems?|looks?|must|may|might)"
    r"(?:n't|(?:\s+\w+){0,2}?\s+(?:not|wrong|incorrect|false|unlikely|too|ruled\s+out|eliminated)))\b",
    re.IGNORECASE,
)
# behind a letter: ") is the most likely" · " must be correct" · " seems right"
_VERDICT = (
    r"[)\].:]{0,2}\s+(?:is|must\s+be|would\s+be|seems|looks)\s+(?:\w+ly\s+)?(?:the\s+)?(?:most\s+)?"
    r"(?:correct|right|best|likely|accurate|appropriate|suitable|answer)\b"
)
# before a letter: where a clause begins ("… so B is correct", "Option B is correct")
_CLAUSE_START = (
    r"(?:^|[.!?;:\n]\s*|\w\w,\s*|\b(?:so|thus|therefore|hence|think|believe|that|option|choice|answer)\s+)"
)
# matches "I choose " before "(B)" · "go with " before "option B" · "it must be " before "B"
_CHOOSES = re.compile(
    r"\b(?:choose|pick|select|go\s+with|going\s+with|opt\s+for|vote\s+for|say|it\s+is|it's|this\s+is"
    r"|it\s+(?:must|would|should)\s+be)\s+(?=[(\[]|(?:option|choice|letter)\b|(?-i:[A-Z])(?!\w))",
    re.IGNORECASE,
)
# before it: "I would not" choose … · "can't" pick …
_REFUSES = re.compile(r"(?:n't|\bnot|\bnever|\bcannot)\s+(?:\w+\s+)?$", re.IGNORECASE)


def written_choice(text: str, choices: Sequence[str]) -> int | None:
    """The index of the option that `text` names, None when it cannot be determined.

    The first rule that finds something decides. Where it finds two options, or one option's letter beside another's
    text, the answer is None:

    1. The whole reply is an option's text, or its letter in brackets and its text.
    2. The last final answer: `Answer: B`, `the answer is cat`, a boxed one, one in `<answer>`. Two different ones
       with no word between them count as two.
    3. A choice in words: `B is correct`, `I would choose B`, `It is B`. Rules 3 to 5 hold only where the reply
       mentions no other option's letter, and no other option's text without the chosen one's.
    4. The first line begins with a marked letter (`B`, `b.`, `(B)`, `B) cat`, `B, because …`) or with an option's
       text and a stop or comma; or the last line is an option and nothing else.
    5. The letters in brackets and, in a reply of one line, the options' whole texts; nothing where the reply doubts
       (`maybe`, `or`).

    From rule 3 on, these parts do not count: a sentence that denies or asks something, what follows `because` and
    similar words, and an explanation under its heading. Reasoning before `</think>` is not read at all, nor what
    follows when the student asks itself the next question.
    """
    options = Options(choices)
    reply = after_reasoning(text)[0].strip()
    if not reply:
        return None
    # rule 1
    if whole := _whole(reply, options):
        return _only(whole)
    reply = _with_answer_lines(cleaned(reply))
    if option_key(reply) == CANNOT_TELL:  # before the rules: an option's text may have these words
        return None
    reply = _NEXT_QUESTION.split(reply)[0]
    # rule 2
    if (stated := _stated(reply, options)) is not None:
        return _only(stated)
    # rules 3 and 4
    words = OptionMentions(_EXPLANATION.split(reply)[0], options)
    named = _chosen(words.text, options) or _lead(words.text, options)
    if named:
        # another option's text beside the chosen one's is a comparison; without it, a contradiction
        texts = words.by_text() - {NO_OPTION}
        return _only(named | words.by_letter() | (texts if not texts & named else set()))
    # rule 5
    return _only(_sentence(words, texts="\n" not in reply))


def _only(found: set[int]) -> int | None:
    """The only option found, None where there is none, more than one, or a letter that no option has."""
    return next(iter(found)) if len(found) == 1 and NO_OPTION not in found else None


def _whole(reply: str, options: Options) -> set[int]:
    """Rule 1. A letter in brackets is an option's letter, even where another option's text is that letter."""
    exact = {i for i, choice in enumerate(options.choices) if choice.strip() == reply}
    labelled = {
        i
        for i, (letter, choice) in enumerate(zip(LETTERS, options.choices, strict=False))
        if reply.split() == f"({letter}) {choice}".split()
    }
    return exact or labelled or options.equal_to(reply)


def _with_answer_lines(reply: str) -> str:
    """The reply with a boxed answer, or one in a tag, as a line `Answer: …`; without end tokens and empty lines."""
    reply = _LATEX_TEXT.sub(r"\1", _TOKEN.sub("", reply))
    reply = _MARKED_ANSWER.sub(lambda found: f"\nAnswer: {found[1] or found[2] or ''}\n", reply)
    return "\n".join(line for line in map(str.strip, reply.split("\n")) if line)


def _stated(reply: str, options: Options) -> set[int] | None:
    """Rule 2: empty where the final answer is not an option, None where no final answer is stated."""
    found = [one for one in _STATED.finditer(reply) if not _NOT_STATED.search(reply[: one.start()][-60:])]
    last: set[int] | None = None
    follows = False  # whether it stands right behind the one before
    for number, one in enumerate(found):
        end = found[number + 1].start() if number + 1 < len(found) else len(reply)
        part = reply[one.end() : end].strip()
        line = part.split("\n")[0]
        named = _answer(line, options) if line else None
        if named is None or (not named and _NAMES_NOTHING.match(line)):
            continue
        # "Answer: A. Answer: B" names two; with other words between them, the reply has changed its mind
        last = last | named if follows and last else named
        follows = not _more_words(part, options)
    return last


def _more_words(part: str, options: Options) -> bool:
    """Whether a part has other words than an option's and those that lead to an answer."""
    for pattern in options.patterns:
        part = pattern.sub(" ", part) if pattern else part
    # a single letter is an option's or an article
    return any(len(word) > 1 and word.casefold() not in _LEAD_WORDS for word in re.findall(r"\w+", part))


def _answer(line: str, options: Options) -> set[int]:
    """The options named by the line behind `the answer is`."""
    first = OptionMentions(line, options).first_sentence()
    label = _label(line, options)
    if label is not None and len(option_key(line)) == 1:
        return label  # `Answer: A` means the letter, even where an option's text is A
    return (
        options.equal_to(line)
        or options.equal_to(first)
        or label
        or (set() if label is not None else _sentence(OptionMentions(first, options), texts=True))
    )


def _chosen(reply: str, options: Options) -> set[int]:
    """Rule 3: the options that are called correct, or chosen, in a sentence."""
    found: set[int] = set()
    for letter, pattern in zip(LETTERS, options.patterns, strict=False):
        # the option's text may stand between its letter and the verdict: "B) cat is correct"
        own = rf"(?:[)\].:]{{0,2}}\s+{pattern.pattern})?" if pattern else ""
        verdict = rf"{_CLAUSE_START}[(\[]?(?-i:{letter}){own}{_VERDICT}"
        if re.search(verdict, reply, re.IGNORECASE):
            found.add(options.index_of(letter))
    for one in _CHOOSES.finditer(reply):
        if not _REFUSES.search(reply[: one.start()][-40:]):
            found |= _label(reply[one.end() :].split("\n")[0], options) or set()
    return found


def _lead(reply: str, options: Options) -> set[int]:
    """Rule 4: the options of the first line, and of later lines that are nothing but an option."""
    first, *more = reply.split("\n")
    found = _first_line(first, options)
    alone = [_alone(line, options, last=line is more[-1]) for line in more]
    return found.union(*alone) if found or (alone and alone[-1]) else set()


def _first_line(line: str, options: Options) -> set[int]:
    """The options that a line begins with: by a label, or a text that is its first sentence or ends at a comma."""
    first = OptionMentions(line, options).first_sentence()
    if found := _label(line, options) or options.equal_to(first):
        return found
    before = options.equal_to(first.partition(",")[0])  # `No, they are not.`
    return before and before | OptionMentions(first, options).by_text()


def _alone(line: str, options: Options, last: bool) -> set[int]:
    """The option that a later line is, by letter or letter and text; the last line also by text alone."""
    if re.match(r"\s*[-*•]\s", line):  # an entry of a list
        return set()
    if label := _LABEL.match(line):
        index, behind = options.index_of(label["inside"] or label["bare"]), line[label.end() :]
        if index != NO_OPTION and (not option_key(behind) or index in options.equal_to(behind)):
            return {index}
    return options.equal_to(line) if last else set()


def _sentence(words: OptionMentions, texts: bool) -> set[int]:
    """Rule 5: the options mentioned by a marked letter, and with `texts` those mentioned by their text."""
    if words.is_in_doubt():
        return set()
    by_letter, by_text = words.by_letter(), words.by_text()
    return by_letter | by_text if words.by_marked_letter() or (by_text and texts) else set()


def _label(part: str, options: Options) -> set[int] | None:
    """The options whose letters `part` begins with; None where it begins with no marked letter.

    NO_OPTION is among them where the letter may mean something else, so that no answer is read.
    """
    found = _LABEL.match(part)
    if found is None:
        return None
    index, behind = options.index_of(found["inside"] or found["bare"]), part[found.end() :]
    rest = options.rest_after(index, behind)  # None: the option's own text does not follow
    marked = bool(found["inside"]) or _is_marked(found["bare"], found["mark"].strip(), behind, rest)
    # 1. no label: None, unless the letter may still mean an option
    if not marked:
        if found["mark"] or not found["bare"].isupper() or found["bare"] in "AI":
            unclear = found["mark"].strip() == ":"  # Q: … A: …
        else:
            # "B or C", and "B" before another option's text
            unclear = bool(_SECOND_LETTER.match(behind)) or any(
                options.rest_after(other, behind) is not None for other in range(len(options.choices))
            )
        return {index, NO_OPTION} if unclear else None
    # 2. what follows the label, and the option's own text where that stands there
    after = found["mark"] + behind if rest is None and found["mark"] else behind if rest is None else rest
    # 3. another option, by its letter or its text, makes the answer unclear
    if second := _SECOND_LETTER.match(after):
        return {index, options.index_of(next(one for one in second.groups() if one))}
    if second := _JOINS.match(after):
        also = {
            i for i in range(len(options.choices)) if options.rest_after(i, after[second.end() :]) is not None
        }
        if also:
            return {index} | also
    # 4. a letter that is named only to be ruled out is no answer
    if _RULED_OUT.match(after):
        return None
    if found["mark"] == "," and OptionMentions(part, options).is_excluded(found.start("bare")):
        return None  # `A, which has horns, is wrong`
    return {index} if rest is not None or index == NO_OPTION else {index} | _against(index, behind, options)


def _is_marked(letter: str, mark: str, behind: str, rest: str | None) -> bool:
    """Whether a letter without brackets is a label: not the article, the pronoun or an abbreviation.

    `rest` is what follows the option's own text, None where that does not stand there.
    """
    # "B cat", where cat is option B; "A cat" may be an article and its noun: only where no word follows
    if mark == "" and rest is not None:
        return letter.isupper() and (letter not in "AI" or not re.search(r"\w", rest))
    if mark == "":
        # "B" with nothing behind it · "B because …"
        ends = re.fullmatch(r"[\s\"'”!?}]*", behind)
        return bool(ends) or (letter.isupper() and letter != "I" and bool(_REASON.match(behind)))
    if rest is not None or mark[0] in ")]":
        return True
    if mark == ".":
        # "B. cat", not "B.C."
        return not behind[:1].strip()
    if mark == ":":
        # "A: yes" may be the reply to a "Q: …"
        return letter not in "AaIi" or not behind.strip()
    return letter.isupper() and letter != "I"


def _against(index: int, behind: str, options: Options) -> set[int]:
    """The other options that the words behind a label mention, where they do not mention its own option."""
    few = {*option_key(behind).split()} - {"a", "an", "the"}
    if 0 < len(few) < 3 and not few & {*options.keys[index].split()}:  # `B. Obama` may be Barack Obama
        return {i for i, text in enumerate(options.keys) if few & {*text.split()}}
    texts = OptionMentions(OptionMentions(behind, options).first_sentence(), options).by_text() - {NO_OPTION}
    return set() if index in texts else texts
