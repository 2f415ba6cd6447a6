"""Prompt studio: a template of step 2 with another list of rules, and the same change in prompts that it has written."""

import difflib
import json
import re
from collections.abc import Sequence

from dataengine_lib.core.records import CHOICE, YES_NO, QaForm
from dataengine_lib.errors import ParameterError
from dataengine_lib.images.pool import PoolImage
from dataengine_lib.queries.prompt import QueryPrompt
from dataengine_lib.teachers.prompt_rules.prompts import clean_rules

# A list of rules: the line "Rules:", its lines, and an empty line behind them.
_LIST = re.compile(r"^Rules:\n(?P<rules>(?:.*\S.*\n)+)(?=[ \t]*\n)", re.M)
_NUMBERED = re.compile(r"\d{1,3}[.)]\s")
# How templates refer to the rule by which a teacher may skip; rules that are added or removed change its number.
_REFERENCE = re.compile(r"\bwhen rule (\d{1,3}) applies\b")
_NO_REFERENCE = "when there is no such question"
_SAME_RULE = 0.6  # ratio of difflib from which a rule counts as another wording of the one referred to


class RuleTemplate:
    """The template of a prompt whose rules are revised, for QAs of one `form`; `rules` are those that it has itself.

    Raises ParameterError where it has no list of rules.
    """

    def __init__(self, template: QueryPrompt, form: QaForm) -> None:
        self.template, self.form = template, template.form(form)
        self._source = template.file.read_text(encoding="utf-8")
        image = PoolImage(id=1, path="", captions=["A dog."])
        example = template.render(
            "type", "", ["Question"], image, form=self.form, answer="Yes" if form.kind == YES_NO else ""
        )
        found = _LIST.search(example or "")
        if _LIST.search(self._source) is None or found is None:
            raise ParameterError(
                f"{template.file}: has no list of rules to revise; write a line `Rules:`, then one numbered line for "
                "each rule, then an empty line"
            )
        self.rules = listed_rules(found["rules"])
        self._references = len(_REFERENCE.findall((example or "")[found.end() :]))

    def prompt(self, prompt: str, rules: Sequence[str]) -> str | None:
        """A prompt of the template with other `rules`; None for one of another template or form."""
        found = _LIST.search(prompt)
        if found is None or listed_rules(found["rules"]) != self.rules:
            return None
        if list(rules) == self.rules:
            return prompt
        # only the template's own words: texts of examples and captions come behind them
        rest = _REFERENCE.sub(
            lambda reference: self._referred(int(reference[1]), rules),
            prompt[found.end() :],
            count=self._references,
        ) if self._references else prompt[found.end() :]  # fmt: skip
        return f"{prompt[: found.start()]}Rules:\n{numbered_rules(rules)}\n{rest}"

    def source(self, rules: Sequence[str]) -> str:
        """The template's text with other `rules` for its form; QAs of other forms are asked for as before."""
        if list(rules) == self.rules:
            return self._source
        found = _LIST.search(self._source)
        assert found is not None
        lines = numbered_rules([_literal(rule) for rule in rules])
        head, rest, condition = self._source[: found.start()], self._source[found.end() :], self._condition()
        if not condition:
            rest = _REFERENCE.sub(lambda one: self._referred(int(one[1]), rules), rest)
            return f"{head}Rules:\n{lines}\n{rest}"
        rest = _REFERENCE.sub(
            lambda one: (
                f"{{% if {condition} %}}{self._referred(int(one[1]), rules)}{{% else %}}{one[0]}{{% endif %}}"
            ),
            rest,
        )
        return f"{head}Rules:\n{{% if {condition} %}}\n{lines}\n{{% else %}}\n{found['rules']}{{% endif %}}\n{rest}"

    def _condition(self) -> str:
        """When the rules count, in Jinja's words; empty where the template knows one form only."""
        reads, parts = self.template.reads, []
        if "answer_kind" in reads:
            parts.append(f'answer_kind == "{self.form.kind}"')
        if self.form.kind == CHOICE and "n_choices" in reads:
            parts.append(f"n_choices == {self.form.n_choices}")
        return " and ".join(parts)

    def _referred(self, number: int, rules: Sequence[str]) -> str:
        """The reference to the rule of that number, in a list of other rules: by its words, or the nearest ones."""
        if not 1 <= number <= len(self.rules):
            return f"when rule {number} applies"
        meant = self.rules[number - 1]
        ratios = [difflib.SequenceMatcher(None, meant, rule, autojunk=False).ratio() for rule in rules]
        best = max(ratios, default=0.0)
        return f"when rule {ratios.index(best) + 1} applies" if best >= _SAME_RULE else _NO_REFERENCE


def numbered_rules(rules: Sequence[str]) -> str:
    """The rules as a prompt shows them, a numbered line each."""
    return "\n".join(f"{number}. {rule}" for number, rule in enumerate(rules, 1))


def listed_rules(text: str) -> list[str]:
    """The rules of a list with numbers; a line without one goes on with the rule before it."""
    rules: list[str] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        if _NUMBERED.match(line) or not rules:
            rules.append(line)
        else:
            rules[-1] += f" {line}"
    return clean_rules(rules)


def rules_diff(before: Sequence[str], after: Sequence[str]) -> list[tuple[str, str]]:
    """(mark, rule) for each rule of either list, in order: `-` removed, `+` added, blank as it was."""
    found: list[tuple[str, str]] = []
    matcher = difflib.SequenceMatcher(None, list(before), list(after), autojunk=False)
    for tag, start, end, new_start, new_end in matcher.get_opcodes():
        if tag == "equal":
            found += [(" ", rule) for rule in before[start:end]]
        else:
            found += [("-", rule) for rule in before[start:end]]
            found += [("+", rule) for rule in after[new_start:new_end]]
    return found


def _literal(rule: str) -> str:
    """A rule as Jinja text: what a model wrote is never evaluated."""
    if not re.search(r"\{[{%#]", rule):
        return rule
    return f"{{{{ {json.dumps(rule, ensure_ascii=False)} }}}}"
