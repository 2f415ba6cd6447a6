"""Step 4, box check: the forms of questions that boxes can answer, as patterns of the whole lower-case question.

The end mark is removed before; named groups are the parts that are judged. Above each pattern stand questions that it
matches.
"""

import re

_PICTURE = r"(?:(?:in|on) )?(?:the|this) (?:picture|image|photo|photograph|scene)"  # "in this photo"
_SEEN = r"(?:there|visible|seen|shown|present|depicted)"

# "what is the number of dogs that can be seen in the image" (not "the number of the bus": that is written on it),
# "how many dogs are there", "how many dogs can you see in the picture", "how many dogs are in the photo"
COUNT_QUESTION = re.compile(
    rf"what(?: is|'s) the (?:total |exact )?number of (?P<of>(?!(?:the|an?|this|that|each) )[a-z -]+?)"
    rf"(?: (?:that |which )?(?:is|are|can be))?(?: {_SEEN})?(?: {_PICTURE})?"
    rf"|how many (?P<what>[a-z -]+?) (?:are|is|can be|can you|do you) (?:{_SEEN}|see)(?: {_SEEN})?(?: {_PICTURE})?"
    rf"|how many (?P<in>[a-z -]+?) (?:are |is )?{_PICTURE}"
)
# "which of these is in the picture", "which one of the following animals is not shown in the image"
PRESENCE_QUESTION = re.compile(
    rf"which (?:one )?of (?:these|the following)(?: (?P<kind>thing|object|item|animal|vehicle)s)?"
    rf" (?:is|are|can be|appears?)(?P<not> not)?(?: {_SEEN})?(?: {_PICTURE})?"
)
# "which object is in the image", "what animals can you see in the picture"; "which vehicle is not visible"
WHICH_PRESENT_QUESTION = re.compile(
    rf"(?:which|what) (?P<kind>thing|object|item|animal|vehicle)s?"
    rf" (?:(?:is|are|can be|appears?)(?P<not> not)?|can you|do you)(?: {_SEEN}| see)?(?: {_PICTURE})"
    rf"|(?:which|what) (?P<kind_seen>thing|object|item|animal|vehicle)s? (?:is|are|can be)(?P<not_seen> not)? {_SEEN}"
)
# "is there a dog in the picture", "are there any dogs"; "is a dog visible", "are dogs shown in the image" (not "is the
# dog visible", which presupposes it); "do you see a dog in this picture"
IS_THERE_QUESTION = re.compile(
    rf"(?:is|are) there (?P<any>an? |any )?(?P<what>[a-z -]+?)(?: {_SEEN})?(?: {_PICTURE})?"
    rf"|(?:(?:is|are) (?P<any_seen>an? |any )|are )(?P<seen>(?!the |there )[a-z -]+?) {_SEEN}(?: {_PICTURE})?"
    rf"|(?:can|do) you see (?P<any_you>an? |any )(?P<you>[a-z -]+?)(?: {_PICTURE})?"
)
# "which of these is the picture about"
TOPIC_QUESTION = re.compile(r"which of these is the (?:picture|image|photo) about")
# "where in the picture is the dog", "which part of the image are the dogs in", "in what corner of the photo is the dog"
PLACE_QUESTION = re.compile(
    rf"(?:where {_PICTURE}|(?:in )?(?:which|what) (?:part|side|area|corner|half|third) of"
    r" the (?:picture|image|photo)) (?:is|are) the (?P<what>[a-z -]+?)(?: in| located| placed)?"
)
# "where is the dog, compared with the couch", "where is the dog in relation to the couch"; "seen from the couch, where
# is the dog"
SIDE_QUESTION = re.compile(
    rf"where(?: {_PICTURE})? (?:is|are) the (?P<one>[a-z -]+?),? (?:compared (?:with|to)|relative to|in relation to)"
    r" the (?P<other>[a-z -]+)"
    r"|seen from the (?P<from>[a-z -]+), where (?:is|are) the (?P<seen>[a-z -]+)"
)
# "what is to the left of the couch", "which of these is above the dog"
BESIDE_QUESTION = re.compile(
    r"(?:what|which(?: of (?:these|the following))?(?: thing| object| animal)?) (?:is|are)"
    r" (?P<side>(?:to |on )?the (?:left|right) of|above|below) the (?P<other>[a-z -]+)"
)
# "which of these takes up the most room in the picture", "which thing is the smallest in the image: a dog, a cat"; not
# "which is larger" alone, which asks for the size in reality
SIZE_QUESTION = re.compile(
    rf"which (?:one |thing |object )?(?:of (?:these|the following) )?(?:things |objects )?"
    rf"(?:takes up (?:the )?(?P<room>most|more|least|less) (?:room|space)(?: {_PICTURE})"
    rf"|is (?:the )?(?P<size>largest|biggest|larger|bigger|smallest|smaller) (?:one )?{_PICTURE})(?:[,:] .*)?"
)
# "which of these is furthest to the left in the picture", "which one of the following is closest to the top"
OUTERMOST_QUESTION = re.compile(
    rf"which (?:one )?of (?:these|the following) is (?:(?:furthest|farthest) to the (?P<across>left|right)(?: {_PICTURE})?"
    r"|(?:nearest|closest) to the (?P<along>top|bottom)(?: of the (?:picture|image|photo))?)"
)
# "are there more dogs or more cats in the picture", "are there more dogs or cats"
MORE_QUESTION = re.compile(
    rf"are there more (?P<one>[a-z -]+?) or (?:more )?(?P<other>[a-z -]+?)(?: {_PICTURE})?"
)

# What a question takes for granted: "what is the bear doing", "the bear's ears". Only before these words, because a noun
# that follows makes it another thing: "the bear costume".
PRESUPPOSED = re.compile(
    r"\bthe ([a-z]+(?: [a-z]+)??)(?=(?:'s)?(?:,|$)|'s "
    r"| (?:is|are|was|has|have|does|do|looks?|doing|wearing|holding|standing|sitting|lying|next to|beside|behind|near|"
    r"close to|in front of|on top of)\b)"
)
# "what is next to the bear in the image"; but "is the bear in the picture" presupposes nothing
PRESUPPOSED_IN_PICTURE = re.compile(
    rf"(?:what|which|where|who|how|why)\b.* the ([a-z]+(?: [a-z]+)??) {_PICTURE}"
)
