"""Step 3, annotations teacher: the things of Visual Genome that it asks about, and their kinds.

COCO's eighty categories with their supercategories, and further things with the words that may mean the same; these are
never called absent, and those of which a picture often shows more than its regions tell are left out.
"""

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
COCO_KINDS = {name: kind for kind, names in _COCO.items() for name in names.split("|")}

# Further things, each with the words that may mean the same one.
FURTHER = {
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
VG_NAMES = (*COCO_KINDS, *FURTHER)


def relatives(name: str) -> tuple[str, ...]:
    """Words by which a phrase may speak of such a thing, too; empty for a category, see `names_of`."""
    return tuple(filter(None, FURTHER.get(name, "").split("|")))
