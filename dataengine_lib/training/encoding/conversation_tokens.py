"""Step 5: the tokens of a conversation behind its first prompt, and which of them the loss counts."""

from typing import Any, NamedTuple

from dataengine_lib.students.chat_texts import ChatText
from dataengine_lib.students.encoder_decoder import answer_begin
from dataengine_lib.students.inputs import has_bidirectional_prompt, token_ids
from dataengine_lib.students.option_scores import common_length, tokenize_question


class ConversationTokens(NamedTuple):
    """What follows the prompt: its last `dropped` tokens are replaced by `tokens`.

    `prompt` is the number of its tokens, in which an image is one; 0 where it was not tokenized with the answer.
    `learnt` says of each token whether the loss counts it: those of the answers and of their ends of turn.
    """

    prompt: int
    dropped: int
    tokens: list[int]
    learnt: list[bool]


def conversation_tokens(
    processor: Any, chat: ChatText, *, encoder_decoder: bool = False
) -> ConversationTokens:
    """The tokens of `chat` behind its prompt; the answer alone, without a prompt, for an `encoder_decoder`.

    An encoder-decoder can be given one turn only. A token that merges characters of a prompt and an answer belongs to
    the answer; one that merges the end of an answer with the next turn is not learnt.
    """
    if len(chat.answers) == 1:
        one = tokenize_question(processor, chat.prompt, chat.text, [], separate_answer=encoder_decoder)
        begin = answer_begin(processor) if encoder_decoder else []
        tokens = begin + one.answer_start
        return ConversationTokens(len(one.prompt) + one.dropped, one.dropped, tokens, [True] * len(tokens))
    # where answers end and later ones begin, in order: the first begins behind the prompt, the last ends the text
    cuts = [place for answer in chat.answers for place in answer][1:-1]
    if has_bidirectional_prompt(processor):
        # the prompt is tokenized by itself; the white space that separates it from the answer belongs to neither
        start = len(chat.text) - len(chat.text[len(chat.prompt) :].lstrip())
        texts = [chat.text[start:place] for place in [*cuts, len(chat.text)]]
        ids: list[list[int]] = [[], *processor.tokenizer(texts, add_special_tokens=False).input_ids]
    else:
        ids = token_ids(processor, [chat.prompt, *(chat.text[:place] for place in cuts), chat.text])
    prompt, *parts, whole = ids
    same = common_length(prompt, whole)
    seams = [same, *(common_length(part, whole) for part in parts), len(whole)]
    learnt = [False] * len(whole)
    for first, end in zip(seams[::2], seams[1::2], strict=True):
        learnt[first:end] = [True] * (end - first)
    return ConversationTokens(len(prompt), len(prompt) - same, whole[same:], learnt[same:])
