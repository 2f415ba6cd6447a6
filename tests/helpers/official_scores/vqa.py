"""vqaEval.py of VQAv2, OK-VQA and VizWiz, written anew from its description."""

import re

# The contractions of the official scripts, each wrong form before its right one; those with capitals are left out, as
# the scripts compare small letters.
OFFICIAL = """
aint ain't arent aren't cant can't couldve could've couldnt couldn't couldn'tve couldn't've couldnt've couldn't've
didnt didn't doesnt doesn't dont don't hadnt hadn't hadnt've hadn't've hadn'tve hadn't've hasnt hasn't havent haven't
hed he'd hed've he'd've he'dve he'd've hes he's howd how'd howll how'll hows how's isnt isn't itd it'd itd've it'd've
it'dve it'd've itll it'll let's let's maam ma'am mightnt mightn't mightnt've mightn't've mightn'tve mightn't've mightve
might've mustnt mustn't mustve must've neednt needn't notve not've oclock o'clock oughtnt oughtn't ow's'at 'ow's'at
'ows'at 'ow's'at 'ow'sat 'ow's'at shant shan't shed've she'd've she'dve she'd've she's she's shouldve should've
shouldnt shouldn't shouldnt've shouldn't've shouldn'tve shouldn't've somebody'd somebodyd somebodyd've somebody'd've
somebody'dve somebody'd've somebodyll somebody'll somebodys somebody's someoned someone'd someoned've someone'd've
someone'dve someone'd've someonell someone'll someones someone's somethingd something'd somethingd've something'd've
something'dve something'd've somethingll something'll thats that's thered there'd thered've there'd've there'dve
there'd've therere there're theres there's theyd they'd theyd've they'd've they'dve they'd've theyll they'll theyre
they're theyve they've twas 'twas wasnt wasn't wed've we'd've we'dve we'd've weve we've werent weren't whatll what'll
whatre what're whats what's whatve what've whens when's whered where'd wheres where's whereve where've whod who'd
whod've who'd've who'dve who'd've wholl who'll whos who's whove who've whyll why'll whyre why're whys why's wont won't
wouldve would've wouldnt wouldn't wouldnt've wouldn't've wouldn'tve wouldn't've yall y'all yall'll y'all'll y'allll
y'all'll yall'd've y'all'd've y'alld've y'all'd've y'all'dve y'all'd've youd you'd youd've you'd've you'dve you'd've
youll you'll youre you're youve you've
"""
WRONG, RIGHT = OFFICIAL.split()[::2], OFFICIAL.split()[1::2]
PUNCTUATION = [
    ";",
    "/",
    "[",
    "]",
    '"',
    "{",
    "}",
    "(",
    ")",
    "=",
    "+",
    "\\",
    "_",
    "-",
    ">",
    "<",
    "@",
    "`",
    ",",
    "?",
    "!",
]
WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]


def official_punctuation(text: str) -> str:
    out = text
    for mark in PUNCTUATION:
        strip = (mark + " " in text) or (" " + mark in text) or re.search(r"(\d)(\,)(\d)", text) is not None
        out = out.replace(mark, "" if strip else " ")
    return re.sub(r"(?!<=\d)(\.)(?!\d)", "", out, count=int(re.UNICODE))


def official_words(text: str) -> str:
    words = []
    for word in text.lower().split():
        word = "0" if word == "none" else str(WORDS.index(word)) if word in WORDS else word
        if word not in ("a", "an", "the"):
            words.append(RIGHT[WRONG.index(word)] if word in WRONG else word)
    return " ".join(words)


def official_score(given: str, answers: list[str], vizwiz: bool = False) -> float:
    """vqaEval.py's loop over the people, each against the others."""
    result = official_words(official_punctuation(given.replace("\n", " ").replace("\t", " ").strip()))
    truth = list(answers)
    if len(set(truth)) > 1 and not vizwiz:
        truth = [official_punctuation(one) for one in truth]
    shares = []
    for number in range(len(truth)):
        others = truth[:number] + truth[number + 1 :]
        shares.append(min(1, float(sum(one == result for one in others)) / 3))
    return sum(shares) / len(shares)
