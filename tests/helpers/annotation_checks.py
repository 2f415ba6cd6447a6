"""Checks independently whether a QA of the annotations teacher is true: with painted boxes and the words of captions."""

import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

from dataengine_lib.replies.one_qa import Qa

_COLOURS = "red orange yellow green blue purple pink brown black white gray grey silver gold tan beige"
STEMS = {  # word of an answer -> how captions may express it
    "surf": "surf|wave", "bicycle": "bike|bicycl", "cyclist": "bike|bicycl|cyclist", "motorcycle": "motorcycl|motorbik",
    "motorcyclist": "motorcycl|motorbik", "skateboard": "skate ?board", "lying": "laying|lying|lies",
    "grazing": "graz|eat", "sleeping": "sleep|nap", "couch": "couch|sofa", "bat": r"\bbat\b", "table": "table|desk",
    "the sea": "sea|ocean|wave", "a forest": "forest|woods", "a train station": "(?:train|railway) station",
    "a grassy field": "grass|pasture|meadow|green field", "a skate park": "skate ?(?:board )?park",
    "an airport": "airport|runway|tarmac", "a bathroom": "bathroom|restroom|washroom", "concrete": "concrete|cement",
    "a city street": "street|intersection", "a restaurant": "restaurant|cafe|diner|pizzeria", "an office": "office|cubicle",
    "metal": "metal|steel|iron", "running": r"\brun(?:s|ning)?\b", "airplane": "plane|jet|aircraft",
}  # fmt: skip
THINGS_OF_ACTIONS = {  # action -> the thing that it needs
    "skiing": "skis", "snowboarding": "snowboard", "surfing": "surfboard", "skateboarding": "skateboard",
    "playing frisbee": "frisbee", "flying a kite": "kite", "playing tennis": "tennis racket",
    "playing baseball": "baseball bat", "riding a horse": "horse", "riding an elephant": "elephant",
    "riding a bicycle": "bicycle", "riding a motorcycle": "motorcycle", "eating pizza": "pizza",
    "eating a banana": "banana", "eating a donut": "donut", "eating a sandwich": "sandwich",
    "eating a hot dog": "hot dog", "cutting a cake": "cake", "using a laptop": "laptop", "walking a dog": "dog",
}  # fmt: skip


@cache
def read_files(folder: Path) -> tuple[dict, dict]:
    instances, captions = (
        next((folder / "annotations").glob(f"{kind}_*.json")) for kind in ("instances", "captions")
    )
    return json.loads(instances.read_text()), json.loads(captions.read_text())


class Raw:
    """One image as in its JSON files: every box painted on a grid of pixels, crowds kept apart."""

    def __init__(self, folder: Path, image_id: int) -> None:
        instances, captions = read_files(folder)
        names = {row["id"]: row["name"] for row in instances["categories"]}
        self.kinds = {row["name"]: row["supercategory"] for row in instances["categories"]}
        image = next(row for row in instances["images"] if row["id"] == image_id)
        self.shape = (image["height"], image["width"])
        self.masks: dict[str, list[np.ndarray]] = {}
        self.crowds = set()
        seen = set()
        for row in instances["annotations"]:
            key = (row["category_id"], *row["bbox"])
            if row["image_id"] != image_id or key in seen:
                continue
            if row["iscrowd"]:
                self.crowds.add(names[row["category_id"]])
                continue
            seen.add(key)
            self.masks.setdefault(names[row["category_id"]], []).append(self._paint(row["bbox"]))
        rows = captions["annotations"]
        self.captions = [row["caption"].lower() for row in rows if row["image_id"] == image_id]
        self.words = " ".join(self.captions)

    def _paint(self, box: list[float]) -> np.ndarray:
        ys, xs = (np.arange(side) + 0.5 for side in self.shape)
        x, y, w, h = box
        return np.outer((ys > y) & (ys < y + h), (xs > x) & (xs < x + w))

    def name(self, words: str) -> str:
        """The category that a question names, singular or plural."""
        irregular = {("person", "people"), ("mouse", "computer mice"), ("tv", "televisions")}
        return next(
            n
            for n in self.kinds
            if words in (n, n + "s", n + "es", n[:-1] + "ies", n[:-2] + "ves") or (n, words) in irregular
        )

    def all_of(self, words: str) -> np.ndarray:
        """The pixels of the only thing of that name, or of all of them if the words are plural."""
        name = self.name(words)
        assert name not in self.crowds
        assert (len(self.masks[name]) == 1) == (words == name)
        return np.any(self.masks[name], axis=0)

    def edges(self, words: str) -> tuple[int, int, int, int]:
        ys, xs = np.nonzero(self.all_of(words))
        return int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1

    def captions_with(self, *stems: str) -> int:
        """The number of captions that have all of the stems."""
        return sum(all(re.search(stem, caption) for stem in stems) for caption in self.captions)

    def is_absent(self, name: str) -> bool:
        near = {self.kinds[other] for other in (*self.masks, *self.crowds)}
        return self.kinds[name] not in near and not re.search(rf"\b{name}(s|es)?\b", self.words)


def check(question_type: str, qa: Qa, raw: Raw) -> None:
    """Fail if the answer is not true, or if a wrong choice is true."""
    answer = qa.choices[qa.correct_choice_idx]
    wrong = [c for i, c in enumerate(qa.choices) if i != qa.correct_choice_idx]
    CHECKS[question_type](qa.question, answer, wrong, raw)


def _place(question: str, answer: str, wrong: list[str], raw: Raw) -> None:
    if found := re.search(r"Which of these is (.+) (?:in|of) the picture\?", question):
        side = found[1].split()[-1]
        axis, sign = {"left": (0, 1), "right": (0, -1), "top": (1, 1), "bottom": (1, -1)}[side]
        low, high = sign * raw.edges(answer)[axis], sign * raw.edges(answer)[axis + 2]
        for other in wrong:
            edges = raw.edges(other)
            assert low < sign * edges[axis]
            assert high < sign * edges[axis + 2]
        return
    words = re.search(r"(?:is|are) the (.+) in\?", question)[1]
    of_width = "the whole width" in (answer, *wrong)
    assert _share(raw.all_of(words), answer, of_width)
    assert not any(_share(raw.all_of(words), place, of_width) for place in wrong)


def _share(mask: np.ndarray, place: str, of_width: bool) -> bool:
    """Whether every painted pixel lies in the place; "the middle third" is of the width or of the height."""
    ys, xs = np.nonzero(mask)
    columns, rows = {*np.unique(3 * xs // mask.shape[1])}, {*np.unique(3 * ys // mask.shape[0])}
    if place.startswith("the whole"):
        return len(columns if of_width else rows) == 3
    if place.endswith("third"):
        third = {"left": 0, "top": 0, "middle": 1, "right": 2, "bottom": 2}[place.split()[1]]
        return (columns if of_width else rows) == {third}
    row, column = place.replace("the very middle", "middle middle").split()
    return rows == {("top", "middle", "bottom").index(row)} and columns == {
        ("left", "middle", "right").index(column)
    }


def _side(question: str, answer: str, wrong: list[str], raw: Raw) -> None:
    a, b = re.search(r"(?:is|are) the (.+), compared with the (.+)\?", question).groups()
    ax1, ay1, ax2, ay2 = raw.edges(a)
    bx1, by1, bx2, by2 = raw.edges(b)
    is_so = {"left": ax2 <= bx1, "right": ax1 >= bx2, "above": ay2 <= by1, "below": ay1 >= by2}
    words = [{word for word in is_so if word in choice} for choice in (answer, *wrong)]
    assert {len(of) for of in words} in ({1}, {2})
    assert [all(is_so[word] for word in of) for of in words] == [True, False, False, False]
    if words[0] <= {"left", "right"}:
        assert max(ay1, by1) < min(ay2, by2)  # side by side
    elif len(words[0]) == 1:
        assert max(ax1, bx1) < min(ax2, bx2)  # one over the other


def _comparison(question: str, answer: str, wrong: list[str], raw: Raw) -> None:
    if found := re.match(r"Are there more (.+) or more (.+) in the picture\?", question):
        names = [raw.name(words) for words in found.groups()]
        first, second = (len(raw.masks[name]) for name in names)
        assert answer == f"more {found[1] if first > second else found[2]}"
        assert first != second and raw.crowds.isdisjoint(names)
        return
    choices = [choice.removeprefix("the ") for choice in (answer, *wrong)]
    areas = {name: raw.all_of(name).sum() for name in choices if name in raw.masks}
    assert len(areas) in (2, 4)
    assert all(areas[choices[0]] >= 2 * area for name, area in areas.items() if name != choices[0])


def _attribute(question: str, answer: str, wrong: list[str], raw: Raw) -> None:
    if found := re.match(r"How many (.+) are there in the picture\?", question):
        name = raw.name(found[1])
        assert name not in raw.crowds
        assert len(raw.masks[name]) == int(answer) <= 6
        return
    noun = re.match(r"What colour (?:is|are) the (.+)\?", question)[1].split()[-1]
    said = "gr[ae]y" if answer == "gray" else answer
    pattern = rf"\b{said}\b.{{0,30}}\b{noun}|\b{noun}\w* (?:is|are) {said}"
    assert sum(bool(re.search(pattern, caption)) for caption in raw.captions) >= 2
    others = "|".join(word for word in _COLOURS.split() if not re.match(said, word))
    assert not re.search(rf"\b(?:{others}) (?:\w+ )?{noun}\b", raw.words)
    assert not any(re.search(rf"\b{colour}\b", raw.words) for colour in wrong)


def _material(question: str, answer: str, wrong: list[str], raw: Raw) -> None:
    noun = re.match(r"What (?:is|are) the (.+) made of\?", question)[1].split()[-1]
    assert raw.captions_with(STEMS.get(answer, answer), noun) >= 2
    assert not any(re.search(rf"\b{STEMS.get(material, material)}", raw.words) for material in wrong)


def _identity(question: str, answer: str, wrong: list[str], raw: Raw) -> None:
    if question == "Who can be seen in the picture?":
        key, *others = (re.sub(r"e?r$", "", choice.split()[1]) for choice in (answer, *wrong))
        assert raw.masks.get("person") or "person" in raw.crowds
        assert raw.captions_with(STEMS.get(key, key)) >= 2
        assert not any(re.search(STEMS.get(other, other), raw.words) for other in others)
    elif " not " in question:
        assert raw.is_absent(answer)
        assert all(name in raw.masks for name in wrong)
    else:
        assert answer in raw.masks
        assert all(raw.is_absent(name) for name in wrong)


def _topic(question: str, answer: str, wrong: list[str], raw: Raw) -> None:
    assert answer in raw.masks
    assert all(raw.is_absent(name) for name in wrong)


def _scene(question: str, answer: str, wrong: list[str], raw: Raw) -> None:
    assert raw.captions_with(STEMS.get(answer, answer.split(" ", 1)[1])) >= 2
    assert not any(re.search(re.escape(scene.split(" ", 1)[1]), raw.words) for scene in wrong)


def _action(question: str, answer: str, wrong: list[str], raw: Raw) -> None:
    def stems(choice: str) -> list[str]:
        words = [word for word in choice.split() if word not in ("a", "an", "on", "down")]
        cut = [re.sub(r"(?<=\w{3})(?:ting|ning|ping|ming|ing)$", "", word) for word in words]
        return [STEMS.get(word) or STEMS.get(stem, stem) for word, stem in zip(words, cut, strict=True)]

    assert raw.captions_with(*stems(answer)) >= 2
    if question == "What is somebody in the picture doing?":
        assert "person" in raw.masks or "person" in raw.crowds
        assert all(raw.is_absent(THINGS_OF_ACTIONS[action]) for action in wrong)
        return
    agents = [name for name in (*raw.masks, *raw.crowds) if raw.kinds[name] in ("person", "animal")]
    assert agents == [raw.name(re.match(r"What (?:is|are) the (.+) doing\?", question)[1])]
    assert not any(raw.captions_with(*stems(pose)) for pose in wrong)


_RELATIONS = {
    "holding": "hold|carr",
    "eating": "eat",
    "riding": "rid",
    "sitting on": "sit|seated",
    "standing on": "stand",
    "lying on": "lying|laying|lies",
    "on": r"\bon\b|\bin\b",
}


def _hold(question: str, answer: str, wrong: list[str], raw: Raw) -> None:
    asked = rf"What (?:is|are) (the .+?|somebody in the picture) ({'|'.join(_RELATIONS)})\?"
    who, relation = re.match(asked, question).groups()
    thing, *others = (re.sub(r"^an? ", "", choice) for choice in (answer, *wrong))
    noun = thing.split()[-1]
    assert raw.captions_with(_RELATIONS[relation], STEMS.get(noun, noun)) >= 2
    assert not any(re.search(rf"\b{name}\b", raw.words) for name in others)
    assert relation == "on" or thing in raw.masks
    there = [name for name in others if name in raw.masks]
    if who.startswith("some") or relation == "on":
        assert not there
    assert not any((np.any(raw.masks[name], axis=0) & raw.all_of(who[4:])).any() for name in there)


CHECKS: dict[str, Callable[[str, str, list[str], Raw], None]] = {
    "object_localization": _place,
    "spatial_relationship": _side,
    "physical_relation": _hold,
    "attribute_comparison": _comparison,
    "attribute_recognition": _attribute,
    "physical_property_reasoning": _material,
    "action_recognition": _action,
    "identity_reasoning": _identity,
    "image_topic": _topic,
    "image_scene": _scene,
}
