"""Step 3, annotations teacher: scenes and people's roles, where two captions name one and none names another."""

import re
from random import Random
from typing import NamedTuple

from dataengine_lib.annotations.draft import Draft
from dataengine_lib.annotations.facts import Facts
from dataengine_lib.annotations.vocabulary import PEOPLE, mention


class Sight(NamedTuple):
    """`shown_by`: caption phrases that name it; `hinted_by` words and `things` forbid calling it absent."""

    shown_by: str
    hinted_by: str
    things: str


SCENES = {
    "a kitchen": Sight(
        "kitchen",
        "stove|counter|cooking|cook|chef",
        "oven|refrigerator|microwave|sink|toaster|dining table|bowl",
    ),
    "a bathroom": Sight(
        "bathroom|restroom|washroom", "toilet|shower|bathtub|tub", "toilet|sink|toothbrush|hair drier"
    ),
    "a bedroom": Sight("bedroom", "bed|hotel|dorm|mattress", "bed|teddy bear"),
    "a living room": Sight("living room", "sofa|lounge|den|room|fireplace", "couch|tv|remote"),
    "an airport": Sight("airport|runway|tarmac", "terminal|airfield|flight|landing", "airplane|suitcase"),
    "a train station": Sight(
        "train station|railway station", "platform|subway|railroad|track|station", "train|suitcase"
    ),
    "a beach": Sight(
        "beach", "sand|sandy|ocean|shore|sea|coast|wave|surf|water|lake", "surfboard|kite|boat|umbrella"
    ),
    "a ski slope": Sight(
        "ski slope|ski resort|ski lift|ski run", "snow|snowy|mountain|slope|winter|hill", "skis|snowboard"
    ),
    "a tennis court": Sight("tennis court", "court|tennis", "tennis racket|sports ball"),
    "a baseball field": Sight(
        "baseball field|baseball stadium",
        "baseball|field|stadium|mound",
        "baseball bat|baseball glove|sports ball",
    ),
    "a zoo": Sight(
        "zoo", "enclosure|cage|pen|habitat|animal|exhibit", "elephant|giraffe|zebra|bear|horse|sheep|cow|bird"
    ),
    "a city street": Sight(
        "city street|busy street|street corner|down the street|down a street|on the street|on a street|"
        "street scene|intersection",
        "street|road|city|town|traffic|sidewalk|downtown|building|avenue|urban|outside",
        "car|bus|truck|traffic light|stop sign|parking meter|fire hydrant|bicycle|motorcycle",
    ),
    "a grassy field": Sight(
        "grassy field|grass field|field of grass|green field|pasture|meadow|grassy area|grassy hill|"
        "grassy plain|grassy hillside",
        "grass|field|park|lawn|hill|farm|grazing|yard|countryside|outside|outdoors",
        "sheep|cow|horse|kite|sports ball|frisbee|zebra|giraffe|elephant",
    ),
    "a forest": Sight(
        "forest|woods", "tree|trail|jungle|wooded|bush|branch|park|path|leaves|nature|outside", "bear|bird"
    ),
    "an office": Sight(
        "office|cubicle",
        "desk|work|worker|working|computer|business|meeting",
        "laptop|keyboard|mouse|tv|chair",
    ),
    "a restaurant": Sight(
        "restaurant|cafe|diner|pizzeria",
        "table|meal|food|bar|eating|dining|plate|menu|lunch|dinner|breakfast|pizza|wine|drink|kitchen|waiter|patio",
        "dining table|wine glass|pizza|sandwich|hot dog|cup|fork|knife|cake|donut|bowl|bottle",
    ),
    "the sea": Sight(
        "ocean|sea|rides a wave|riding a wave|on a wave|riding the wave|on a big wave|on the wave",
        "water|beach|surf|surfing|surfer|shore|coast|lake|river|boat|ship|harbor|sand|sail|swim|wave|dock|pier",
        "surfboard|boat|kite",
    ),
    "a skate park": Sight(
        "skate park|skatepark|skateboard park",
        "ramp|skate|skateboard|skateboarder|trick|concrete",
        "skateboard",
    ),
    "a parking lot": Sight(
        "parking lot|car park", "parked|parking|park|car|street|road|lot|garage", "car|truck|bus|motorcycle"
    ),
}

# Who somebody is, by what captions call them or say that they do.
ROLES = {
    "a skier": Sight("skier|skiing", "ski|snow|snowy|slope|mountain|winter", "skis|snowboard"),
    "a snowboarder": Sight(
        "snowboarder|snowboarding", "board|snow|snowy|slope|mountain|winter|ski", "snowboard|skis"
    ),
    "a surfer": Sight(
        "surfer|surfing|surf boarder|riding a wave|rides a wave",
        "surf|wave|board|ocean|sea|beach|water|surfboard",
        "surfboard",
    ),
    "a skateboarder": Sight(
        "skateboarder|skateboarding|skate boarder|rides a skateboard|riding a skateboard|rides a skate board",
        "skate|skater|skating|board|ramp|trick|skateboard|skatepark",
        "skateboard",
    ),
    "a tennis player": Sight(
        "tennis player|playing tennis|plays tennis|play tennis",
        "tennis|racket|racquet|court|serve",
        "tennis racket",
    ),
    "a baseball player": Sight(
        "baseball player|playing baseball|baseball game|baseball uniform",
        "baseball|bat|batter|pitcher|catcher|mound|base|glove|field|uniform|team|player|game",
        "baseball bat|baseball glove|sports ball",
    ),
    "a soccer player": Sight(
        "soccer player|playing soccer|soccer game|soccer match",
        "soccer|football|ball|field|player|goal|team|game|kick|uniform",
        "sports ball",
    ),
    "a cyclist": Sight(
        "cyclist|bicyclist|riding a bike|rides a bike|riding a bicycle|rides a bicycle|riding bikes|riding his bike",
        "bike|bicycle|cycle|biker|biking",
        "bicycle|motorcycle",
    ),
    "a motorcyclist": Sight(
        "motorcyclist|riding a motorcycle|rides a motorcycle|riding motorcycles|motorcycle rider|riding on a motorcycle|"
        "riding his motorcycle",
        "motorcycle|motorbike|bike|biker|moped|scooter",
        "motorcycle|bicycle",
    ),
    "a horse rider": Sight(
        "jockey|equestrian|riding a horse|rides a horse|riding horses|on horseback|riding on a horse|ride horses",
        "horse|pony|riding|rider|saddle",
        "horse",
    ),
    "a police officer": Sight(
        "police officer|policeman|policemen|policewoman|officer", "police|uniform|cop|security|guard", ""
    ),
    "a chef": Sight("chef", "cook|cooking|kitchen|apron|bake|food|restaurant|meal", "oven|knife|pizza"),
    "a soldier": Sight("soldier", "military|army|uniform|marine|navy|camouflage|troop", ""),
    "a firefighter": Sight("firefighter|fireman|firemen", "fire|helmet|uniform|hydrant", "fire hydrant"),
    "a bride": Sight("bride", "wedding|groom|gown|dress|married|couple", "cake"),
}


def scene(facts: Facts, rng: Random) -> Draft | None:
    """The one place that captions name."""
    found = _agreed(facts, SCENES)
    if found is None:
        return None
    place, others = found
    return _draft(rng, "Which place does the picture show?", place, others, f"The picture shows {place}.")


def role(facts: Facts, rng: Random) -> Draft | None:
    """Who is in the picture, by the one role that captions name; the other roles' tools are not there."""
    found = _agreed(facts, ROLES)
    if found is None or PEOPLE.isdisjoint((*facts.present(), *facts.crowds)):
        return None
    who, others = found
    why = f"There is {who} in the picture, and nothing shows any of the others."
    return _draft(rng, "Who can be seen in the picture?", who, others, why)


def _agreed(facts: Facts, sights: dict[str, Sight]) -> tuple[str, list[str]] | None:
    """The sight that two captions name while none names another, and those that are certainly not there."""
    shown = {
        sight: sum(bool(_words(words.shown_by).search(caption)) for caption in facts.captions)
        for sight, words in sights.items()
    }
    named = [sight for sight, captions in shown.items() if captions]
    if len(named) != 1 or shown[named[0]] < 2:
        return None
    things = {*facts.boxes, *facts.crowds}
    others = [
        sight
        for sight, words in sights.items()
        if sight != named[0]
        and not any(_words(words.hinted_by).search(caption) for caption in facts.captions)
        and things.isdisjoint(words.things.split("|"))
    ]
    return named[0], others


def _draft(rng: Random, question: str, answer: str, others: list[str], why: str) -> Draft | None:
    if len(others) < 3:
        return None
    return Draft(question, answer, tuple(rng.sample(others, 3)), why)


def _words(phrases: str) -> re.Pattern[str]:
    return mention(tuple(phrases.split("|")))
