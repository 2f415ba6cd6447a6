"""Step 3, annotations teacher: questions about the scene and people's roles, if two captions name one and none another."""

import re
from random import Random
from typing import NamedTuple

from dataengine_lib.annotations.draft import QaDraft
from dataengine_lib.annotations.facts import AGREEING_CAPTIONS, ImageFacts
from dataengine_lib.annotations.vocabulary import PEOPLE, mention_pattern


class _Clues(NamedTuple):
    """How to recognize a scene or a role: `shown_by` are the caption phrases that name it, separated by `|`.

    If a caption has a word of `hinted_by`, or the image one of `things`, it is not used as a wrong answer.
    """

    shown_by: str
    hinted_by: str
    things: str


_SCENES = {
    "a kitchen": _Clues(
        "kitchen",
        "stove|counter|cooking|cook|chef",
        "oven|refrigerator|microwave|sink|toaster|dining table|bowl",
    ),
    "a bathroom": _Clues(
        "bathroom|restroom|washroom", "toilet|shower|bathtub|tub", "toilet|sink|toothbrush|hair drier"
    ),
    "a bedroom": _Clues("bedroom", "bed|hotel|dorm|mattress", "bed|teddy bear"),
    "a living room": _Clues("living room", "sofa|lounge|den|room|fireplace", "couch|tv|remote"),
    "an airport": _Clues("airport|runway|tarmac", "terminal|airfield|flight|landing", "airplane|suitcase"),
    "a train station": _Clues(
        "train station|railway station", "platform|subway|railroad|track|station", "train|suitcase"
    ),
    "a beach": _Clues(
        "beach", "sand|sandy|ocean|shore|sea|coast|wave|surf|water|lake", "surfboard|kite|boat|umbrella"
    ),
    "a ski slope": _Clues(
        "ski slope|ski resort|ski lift|ski run", "snow|snowy|mountain|slope|winter|hill", "skis|snowboard"
    ),
    "a tennis court": _Clues("tennis court", "court|tennis", "tennis racket|sports ball"),
    "a baseball field": _Clues(
        "baseball field|baseball stadium",
        "baseball|field|stadium|mound",
        "baseball bat|baseball glove|sports ball",
    ),
    "a zoo": _Clues(
        "zoo", "enclosure|cage|pen|habitat|animal|exhibit", "elephant|giraffe|zebra|bear|horse|sheep|cow|bird"
    ),
    "a city street": _Clues(
        "city street|busy street|street corner|down the street|down a street|on the street|on a street|"
        "street scene|intersection",
        "street|road|city|town|traffic|sidewalk|downtown|building|avenue|urban|outside",
        "car|bus|truck|traffic light|stop sign|parking meter|fire hydrant|bicycle|motorcycle",
    ),
    "a grassy field": _Clues(
        "grassy field|grass field|field of grass|green field|pasture|meadow|grassy area|grassy hill|"
        "grassy plain|grassy hillside",
        "grass|field|park|lawn|hill|farm|grazing|yard|countryside|outside|outdoors",
        "sheep|cow|horse|kite|sports ball|frisbee|zebra|giraffe|elephant",
    ),
    "a forest": _Clues(
        "forest|woods", "tree|trail|jungle|wooded|bush|branch|park|path|leaves|nature|outside", "bear|bird"
    ),
    "an office": _Clues(
        "office|cubicle",
        "desk|work|worker|working|computer|business|meeting",
        "laptop|keyboard|mouse|tv|chair",
    ),
    "a restaurant": _Clues(
        "restaurant|cafe|diner|pizzeria",
        "table|meal|food|bar|eating|dining|plate|menu|lunch|dinner|breakfast|pizza|wine|drink|kitchen|waiter|patio",
        "dining table|wine glass|pizza|sandwich|hot dog|cup|fork|knife|cake|donut|bowl|bottle",
    ),
    "the sea": _Clues(
        "ocean|sea|rides a wave|riding a wave|on a wave|riding the wave|on a big wave|on the wave",
        "water|beach|surf|surfing|surfer|shore|coast|lake|river|boat|ship|harbor|sand|sail|swim|wave|dock|pier",
        "surfboard|boat|kite",
    ),
    "a skate park": _Clues(
        "skate park|skatepark|skateboard park",
        "ramp|skate|skateboard|skateboarder|trick|concrete",
        "skateboard",
    ),
    "a parking lot": _Clues(
        "parking lot|car park", "parked|parking|park|car|street|road|lot|garage", "car|truck|bus|motorcycle"
    ),
}

# Who somebody is, by what captions call the person or say that the person does.
_ROLES = {
    "a skier": _Clues("skier|skiing", "ski|snow|snowy|slope|mountain|winter", "skis|snowboard"),
    "a snowboarder": _Clues(
        "snowboarder|snowboarding", "board|snow|snowy|slope|mountain|winter|ski", "snowboard|skis"
    ),
    "a surfer": _Clues(
        "surfer|surfing|surf boarder|riding a wave|rides a wave",
        "surf|wave|board|ocean|sea|beach|water|surfboard",
        "surfboard",
    ),
    "a skateboarder": _Clues(
        "skateboarder|skateboarding|skate boarder|rides a skateboard|riding a skateboard|rides a skate board",
        "skate|skater|skating|board|ramp|trick|skateboard|skatepark",
        "skateboard",
    ),
    "a tennis player": _Clues(
        "tennis player|playing tennis|plays tennis|play tennis",
        "tennis|racket|racquet|court|serve",
        "tennis racket",
    ),
    "a baseball player": _Clues(
        "baseball player|playing baseball|baseball game|baseball uniform",
        "baseball|bat|batter|pitcher|catcher|mound|base|glove|field|uniform|team|player|game",
        "baseball bat|baseball glove|sports ball",
    ),
    "a soccer player": _Clues(
        "soccer player|playing soccer|soccer game|soccer match",
        "soccer|football|ball|field|player|goal|team|game|kick|uniform",
        "sports ball",
    ),
    "a cyclist": _Clues(
        "cyclist|bicyclist|riding a bike|rides a bike|riding a bicycle|rides a bicycle|riding bikes|riding his bike",
        "bike|bicycle|cycle|biker|biking",
        "bicycle|motorcycle",
    ),
    "a motorcyclist": _Clues(
        "motorcyclist|riding a motorcycle|rides a motorcycle|riding motorcycles|motorcycle rider|riding on a motorcycle|"
        "riding his motorcycle",
        "motorcycle|motorbike|bike|biker|moped|scooter",
        "motorcycle|bicycle",
    ),
    "a horse rider": _Clues(
        "jockey|equestrian|riding a horse|rides a horse|riding horses|on horseback|riding on a horse|ride horses",
        "horse|pony|riding|rider|saddle",
        "horse",
    ),
    "a police officer": _Clues(
        "police officer|policeman|policemen|policewoman|officer", "police|uniform|cop|security|guard", ""
    ),
    "a chef": _Clues("chef", "cook|cooking|kitchen|apron|bake|food|restaurant|meal", "oven|knife|pizza"),
    "a soldier": _Clues("soldier", "military|army|uniform|marine|navy|camouflage|troop", ""),
    "a firefighter": _Clues("firefighter|fireman|firemen", "fire|helmet|uniform|hydrant", "fire hydrant"),
    "a bride": _Clues("bride", "wedding|groom|gown|dress|married|couple", "cake"),
}


def write_scene(facts: ImageFacts, rng: Random) -> QaDraft | None:
    """Which place the image shows: the only one that captions name."""
    found = _named_by_captions(facts, _SCENES)
    if found is None:
        return None
    place, others = found
    return _draft(rng, "Which place does the picture show?", place, others, f"The picture shows {place}.")


def write_role(facts: ImageFacts, rng: Random) -> QaDraft | None:
    """Who is in the image: the only role that captions name; the things of the other roles are not there."""
    found = _named_by_captions(facts, _ROLES)
    if found is None or PEOPLE.isdisjoint((*facts.visible_things(), *facts.crowds)):
        return None
    who, others = found
    why = f"There is {who} in the picture, and nothing shows any of the others."
    return _draft(rng, "Who can be seen in the picture?", who, others, why)


def _named_by_captions(facts: ImageFacts, clues: dict[str, _Clues]) -> tuple[str, list[str]] | None:
    """The scene or role that two captions name while none names another, and those that are certainly not shown."""
    shown = {
        name: sum(bool(_words(words.shown_by).search(caption)) for caption in facts.captions)
        for name, words in clues.items()
    }
    # one caption that names another scene is enough to doubt
    named = [name for name, captions in shown.items() if captions]
    if len(named) != 1 or shown[named[0]] < AGREEING_CAPTIONS:
        return None
    # a wrong answer has neither a hint in the captions nor one of its things in the image
    things = {*facts.boxes, *facts.crowds}
    others = [
        name
        for name, words in clues.items()
        if name != named[0]
        and not any(_words(words.hinted_by).search(caption) for caption in facts.captions)
        and things.isdisjoint(words.things.split("|"))
    ]
    return named[0], others


def _draft(rng: Random, question: str, answer: str, others: list[str], why: str) -> QaDraft | None:
    if len(others) < 3:
        return None
    return QaDraft(question, answer, tuple(rng.sample(others, 3)), why)


def _words(phrases: str) -> re.Pattern[str]:
    return mention_pattern(tuple(phrases.split("|")))
