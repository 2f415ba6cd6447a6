"""Step 3, annotations teacher: names of things, and the words that captions use for them.

The words only ever make the teacher more careful: a thing that a caption may mean is never said to be absent.
"""

import re
from functools import lru_cache

# COCO's 80 categories by supercategory, as in its instances_*.json.
_COCO = {
    "person": "person",
    "vehicle": "bicycle|car|motorcycle|airplane|bus|train|truck|boat",
    "outdoor": "traffic light|fire hydrant|stop sign|parking meter|bench",
    "animal": "bird|cat|dog|horse|sheep|cow|elephant|bear|zebra|giraffe",
    "accessory": "backpack|umbrella|handbag|tie|suitcase",
    "sports": "frisbee|skis|snowboard|sports ball|kite|baseball bat|baseball glove|skateboard|surfboard|tennis racket",
    "kitchen": "bottle|wine glass|cup|fork|knife|spoon|bowl",
    "food": "banana|apple|sandwich|orange|broccoli|carrot|hot dog|pizza|donut|cake",
    "furniture": "chair|couch|potted plant|bed|dining table|toilet",
    "electronic": "tv|laptop|mouse|remote|keyboard|cell phone",
    "appliance": "microwave|oven|toaster|sink|refrigerator",
    "indoor": "book|clock|vase|scissors|teddy bear|hair drier|toothbrush",
}
# Category -> supercategory.
COCO_KINDS = {name: kind for kind, names in _COCO.items() for name in names.split("|")}

# Things of Visual Genome that are not categories of COCO, each with other words that may mean the same thing.
_FURTHER_THINGS = {
    "man": "guy|male|gentleman|person|player|skier|surfer|rider|skateboarder|snowboarder|he|him|his|boy|worker",
    "woman": "lady|female|girl|person|player|skier|surfer|rider|she|her|mother",
    "boy": "kid|child|man|male|guy|son|person|player|he|him|his|toddler",
    "girl": "kid|child|woman|lady|female|person|player|she|her|daughter|toddler",
    "house": "building|home|cottage|barn",
    "church": "building|cathedral|chapel",
    "bridge": "overpass",
    "tower": "building|clock tower|steeple",
    "lamp": "light|lantern|lampshade",
    "mirror": "reflection",
    "table": "desk|counter|tabletop",
    "desk": "table|counter",
    "plate": "dish|saucer|platter",
    "tray": "plate|platter",
    "hat": "cap|helmet|beanie",
    "helmet": "hat|cap",
    "shirt": "t-shirt|top|jersey|blouse|sweater|tee|tank",
    "jacket": "coat|vest|sweater|hoodie|suit|blazer",
    "fountain": "statue",
    "statue": "sculpture|figure|fountain",
    "basket": "bin|crate|box",
    "fireplace": "mantle|mantel",
    "rug": "carpet|mat",
    "van": "car|vehicle|truck|bus|minivan|suv",
    "helicopter": "plane|aircraft",
    "fan": "ceiling fan",
    "piano": "keyboard",
    "guitar": "instrument",
}

PEOPLE = frozenset({"person", "man", "woman", "boy", "girl"})
CLOTHES = frozenset({"shirt", "jacket", "hat", "helmet"})
VG_NAMES = (*COCO_KINDS, *_FURTHER_THINGS)

# Words for a category, and for what is often seen with it: where a caption has one, the category may be there.
_RELATED_WORDS = {
    "person": (
        "people man men woman women boy girl child children kid lady ladies guy player "
        "pitcher batter catcher skier surfer rider skateboarder snowboarder baby toddler "
        "crowd someone somebody he she his her him couple family boys friend pedestrian "
        "driver passenger team umpire officer chef adult human male female teenager"
    ),
    "bicycle": "bike cyclist",
    "car": "taxi cab suv sedan van vehicle automobile jeep traffic",
    "motorcycle": "motorbike moped scooter bike",
    "airplane": "plane jet aircraft jetliner airliner biplane aeroplane",
    "bus": "coach trolley",
    "train": "locomotive subway tram railway trolley engine",
    "truck": "pickup lorry van trailer firetruck",
    "boat": "ship sailboat canoe kayak ferry yacht raft vessel gondola",
    "fire hydrant": "hydrant",
    "stop sign": "sign",
    "parking meter": "meter",
    "bench": "seat",
    "bird": (
        "parrot pigeon duck goose geese chicken owl eagle seagull gull swan penguin hawk "
        "rooster canary parakeet ostrich peacock hen turkey flamingo crow hummingbird pelican "
        "sparrow"
    ),
    "cat": "kitten kitty tabby",
    "dog": "puppy pup poodle lab terrier hound bulldog collie lassie lassy",
    "horse": "pony ponies stallion mare foal carriage zebra donkey",
    "sheep": "lamb ram goat ewe",
    "cow": "cattle bull calf calves ox oxen steer herd bison",
    "elephant": "tusk",
    "bear": "panda grizzly cub polar",
    "umbrella": "parasol",
    "suitcase": "luggage trunk baggage bag",
    "skis": "ski skiing skier",
    "snowboard": "snowboarder snowboarding board",
    "surfboard": "surfer surfing surf board",
    "skateboard": "skateboarder skateboarding skater board",
    "sports ball": "ball soccer football basketball volleyball",
    "tennis racket": "racket racquet tennis",
    "baseball bat": "bat baseball batter",
    "baseball glove": "glove mitt baseball",
    "wine glass": "glass wine",
    "cup": "mug coffee tea glass",
    "sandwich": "burger hamburger sub toast wrap",
    "orange": "citrus tangerine fruit",
    "banana": "fruit",
    "apple": "fruit",
    "broccoli": "vegetable veggie veggies salad",
    "carrot": "vegetable veggie veggies salad",
    "hot dog": "hotdog sausage",
    "donut": "doughnut pastry pastries",
    "cake": "cupcake dessert pastry pastries",
    "couch": "sofa loveseat futon",
    "potted plant": "plant flower flowerpot",
    "bed": "mattress bunk bedroom",
    "dining table": "table desk",
    "toilet": "urinal bidet bathroom restroom",
    "tv": "tvs television monitor screen",
    "laptop": "computer notebook macbook",
    "mouse": "mice",
    "remote": "controller wii",
    "cell phone": "phone smartphone cellphone iphone",
    "microwave": "oven",
    "oven": "stove range cooker",
    "refrigerator": "fridge freezer",
    "teddy bear": "teddy stuffed bear toy doll",
    "hair drier": "dryer blowdryer",
    "vase": "jar pot",
    "zebra": "horse",
    "frisbee": "disc disk",
    "kite": "parasail",
    "pizza": "pizzas slice",
    "toothbrush": "brush",
}
# Words that mean the category itself, not what is often seen with it.
_SYNONYMS = {
    "bicycle": "bike",
    "motorcycle": "motorbike|bike|moped|scooter",
    "airplane": "plane|jet|aircraft|jetliner|airliner",
    "boat": "ship|sailboat|canoe|kayak",
    "fire hydrant": "hydrant",
    "dog": "puppy",
    "cat": "kitten|kitty",
    "couch": "sofa",
    "tv": "television",
    "dining table": "table|desk",
    "refrigerator": "fridge",
    "cell phone": "phone|cellphone",
    "suitcase": "luggage",
    "tennis racket": "racket|racquet|tennis racquet",
    "baseball bat": "bat",
    "donut": "doughnut",
    "hot dog": "hotdog",
    "potted plant": "plant",
    "teddy bear": "stuffed bear|teddy|stuffed animal|bear",
    "surfboard": "surf board",
    "skateboard": "skate board",
    "oven": "stove",
    "toothbrush": "tooth brush",
    "person": "man|woman|boy|girl|child|kid|lady|guy|player|people",
}
# Words in a caption that make it possible that something of this supercategory is visible, even without a box.
WORDS_OF_KIND = {
    "animal": "animal pet wildlife zoo farm",
    "vehicle": "vehicle traffic transportation street highway intersection parking harbor airport station",
    "food": "food meal dish snack fruit lunch dinner breakfast plate restaurant cafe picnic bakery",
    "furniture": "furniture room bedroom bathroom restroom lounge apartment hotel",
    "appliance": "appliance kitchen",
    "electronic": "electronics device office computer desk",
    "sports": "game sport",
    "kitchen": "utensil dish silverware",
    "accessory": "luggage baggage",
}
# Common in the background and often without a box: never used as an example of what is absent.
EASILY_MISSED = frozenset(
    {
        "person",
        "car",
        "truck",
        "bicycle",
        "traffic light",
        "stop sign",
        "bench",
        "backpack",
        "umbrella",
        "handbag",
        "tie",
        "bottle",
        "cup",
        "wine glass",
        "fork",
        "knife",
        "spoon",
        "bowl",
        "chair",
        "potted plant",
        "dining table",
        "tv",
        "mouse",
        "remote",
        "keyboard",
        "cell phone",
        "book",
        "clock",
        "vase",
        "sink",
        "scissors",
        "toothbrush",
        "hair drier",
        "sports ball",
        "boat",
        "bird",
        "baseball glove",
        "orange",
        "apple",
    }
)
# COCO often draws one box around a heap or a bunch of these.
IN_HEAPS = frozenset({"banana", "orange", "apple", "carrot", "broccoli", "book"})
# Boxes of these do not say how many there are: pairs, parts, or annotators who count differently.
UNCOUNTABLE = frozenset({"dining table", "broccoli", "scissors", "skis", "hair drier", "book", "carrot"})
# Category names that are plural nouns: "the skis are …".
ALWAYS_PLURAL = {"scissors", "skis"}
# Irregular plurals.
_PLURALS = {
    "person": "people",
    "tv": "televisions",
    "knife": "knives",
    "mouse": "computer mice",
    "sheep": "sheep",
    "scissors": "scissors",
    "skis": "skis",
    "broccoli": "broccoli",
    "wine glass": "wine glasses",
    "man": "men",
    "woman": "women",
    "child": "children",
}


@lru_cache(maxsize=4096)
def mention_pattern(phrases: tuple[str, ...]) -> re.Pattern[str]:
    """A pattern that finds any of the phrases, singular or plural, in lower-case text.

    Of ("dog",) it finds "dog", "dogs" and "dog's", and not the start of "dogma".
    """
    forms = {form for phrase in phrases for form in (phrase, plural(phrase))}
    return re.compile(rf"\b(?:{'|'.join(re.escape(form) for form in sorted(forms))})(?:'s)?\b")


def with_related_words(category: str) -> tuple[str, ...]:
    """The category's name and all words that may mean it or that are often seen with it."""
    return (category, *_RELATED_WORDS.get(category, "").split())


def with_synonyms(category: str) -> tuple[str, ...]:
    """The category's name and the words that mean exactly the same."""
    return (category, *filter(None, _SYNONYMS.get(category, "").split("|")))


def plural(noun: str) -> str:
    """The English plural of a name; of two words the last one changes."""
    if noun in _PLURALS:
        return _PLURALS[noun]
    # buses · boxes · benches · dishes
    if noun.endswith(("s", "x", "z", "ch", "sh")):
        return noun + "es"
    # puppies, but monkeys
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + "s"


def with_all_words(name: str) -> tuple[str, ...]:
    """A name of `VG_NAMES`, its synonyms and all related words, whether it is a category of COCO or not."""
    further = filter(None, _FURTHER_THINGS.get(name, "").split("|"))
    return (*with_synonyms(name), *with_related_words(name), *further)
