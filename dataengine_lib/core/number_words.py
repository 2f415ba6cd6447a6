"""The English number words up to twelve, as captions, questions and choices write them."""

NUMBER_WORDS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
)  # fmt: skip


def word_of(number: int) -> str:
    """The word of a number up to twelve, else its digits."""
    return NUMBER_WORDS[number] if 0 <= number < len(NUMBER_WORDS) else str(number)


def number_of(word: str) -> int | None:
    """The number that a lower-case word is, `3` or `three`; None for other words and for more than nine digits."""
    if word.isdecimal():
        return int(word) if len(word) <= 9 else None
    return NUMBER_WORDS.index(word) if word in NUMBER_WORDS else None
