"""Digests of a growing conversation are those of the whole conversation, however it grew."""

from typing import cast

from hypothesis import given
from hypothesis import strategies as st
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, TextPart, UserPromptPart

from orchestrion.agents._messages import Conversation
from orchestrion.core import Json, canonical, digest, digest_of_list

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(JSON, max_size=5))
def test_the_digest_of_a_list_is_that_of_its_items_texts(values: list[Json]) -> None:
    assert digest_of_list([canonical(value) for value in values]) == digest(values)


def exchange(*texts: str) -> list[ModelMessage]:
    """Question, answer, question, answer …"""
    return [
        ModelResponse(parts=[TextPart(text)]) if number % 2 else ModelRequest(parts=[UserPromptPart(text)])
        for number, text in enumerate(texts)
    ]


def test_what_it_remembers_changes_no_digest() -> None:
    growing, messages = Conversation(), exchange("a", "b", "c", "d", "e")
    for end in range(len(messages) + 1):
        assert growing.earlier(messages[:end]) == Conversation().earlier(messages[:end])


def test_a_question_not_answered_yet_does_not_count() -> None:
    messages = exchange("a", "b", "c")
    assert Conversation().earlier(messages) == Conversation().earlier(messages[:2])


def test_a_message_that_was_replaced_or_changed_is_written_out_anew() -> None:
    growing, messages = Conversation(), exchange("a", "b", "c", "d")
    before = growing.earlier(messages)
    replaced = [*messages[:1], *exchange("x", "y")[1:], *messages[2:]]
    assert growing.earlier(replaced) == Conversation().earlier(replaced) != before
    request = cast("ModelRequest", messages[2])
    request.parts = [*request.parts, UserPromptPart("more")]
    assert growing.earlier(messages) == Conversation().earlier(messages) != before
