"""The playground's answers, by what a scene shows; `questions.py` asks for them, the scripted reader looks them up."""

# mood -> feeling
EMOTIONS = {"festive": "cheerful", "calm": "peaceful", "gloomy": "sad", "spooky": "scary"}
# event -> what happens next
OUTCOMES = {
    "pop": "something will burst",
    "fall": "something will drop down",
    "hatch": "a chick will come out",
    "stop": "somebody has to brake",
    "melt": "something will turn to water",
    "rain": "everything will get soaked",
}
# relation in nature -> what two living things are to each other
NATURE_ANSWERS = {
    "hunting": "predator and prey",
    "grazing": "plant eater and plant",
    "nesting": "dweller and home",
    "pollinating": "nectar seeker and blossom",
}
# pair of people -> how they know each other
SOCIAL_ANSWERS = {
    "parent and child": "they are family",
    "couple": "they are in love",
    "teammates": "they play together",
    "doctor and patient": "one heals the other",
    "teacher and pupil": "one learns from the other",
}
# kind of thing -> what it is good for
USES = {
    "umbrella": "staying dry",
    "book": "enjoying a story",
    "cup": "drinking tea",
    "clock": "telling the hour",
    "backpack": "storing luggage",
    "telephone": "calling a friend",
    "chair": "sitting down",
    "bed": "falling asleep",
    "lamp": "lighting up",
    "bicycle": "pedalling",
    "boat": "sailing",
    "bus": "moving a crowd",
    "stove": "frying eggs",
    "drum": "beating a rhythm",
    "tractor": "ploughing",
}
# action of a person -> use that the picture shows without the thing itself being listed
USES_BY_ACTION = {
    "holding an umbrella": "staying dry",
    "reading": "enjoying a story",
    "carrying a box": "storing luggage",
}
# animal -> name of its young
YOUNG = {"dog": "puppy", "cat": "kitten", "cow": "calf", "sheep": "lamb", "horse": "foal", "rabbit": "bunny",
         "bear": "cub", "penguin": "chick", "duck": "duckling"}  # fmt: skip
# animal -> its voice
VOICES = {"dog": "it barks", "cat": "it meows", "cow": "it moos", "sheep": "it bleats", "horse": "it neighs",
          "duck": "it quacks", "elephant": "it trumpets", "bear": "it growls"}  # fmt: skip
# answers of captions.place_of
PLACES = ("on the left", "in the middle", "on the right", "at the top")
# relation to a support -> answer
RELATION_ANSWERS = {
    "on": "on top of it",
    "under": "under it",
    "in front of": "in front of it",
    "next to": "next to it",
}
# where a thing is, seen from another
SIDES = ("to the left of it", "to the right of it", "above it", "below it")
