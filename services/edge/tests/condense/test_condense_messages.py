"""Conversations: each user message is condensed by itself, so that what was sent once is sent again the same."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cerebrum_edge.condense import condense_messages

FUNCTIONS = "".join(
    f"def step_{index}(state):\n    state.count += {index}\n    state.log('step {index}')\n    return state\n\n\n"
    for index in range(60)
)
LONG = f"Explain step_7 to me please.\n\n```python\n{FUNCTIONS}```\n"
Message = dict[str, Any]
roles = st.sampled_from(["system", "user", "assistant", "tool", "developer"])
texts = st.sampled_from(["hello", LONG, LONG.replace("step_7", "step_41"), FUNCTIONS, ""])
contents = texts | st.lists(
    st.builds(lambda text: {"type": "text", "text": text}, texts)
    | st.just({"type": "image_url", "image_url": {"url": "data:,"}}),
    max_size=3,
)
conversations = st.lists(
    st.builds(lambda role, content: {"role": role, "content": content}, roles, contents), max_size=6
)


@given(conversations, conversations)
def test_what_was_sent_is_sent_again_the_same(earlier: list[Message], later: list[Message]) -> None:
    given_ = copy.deepcopy(earlier + later)
    first = condense_messages(earlier).messages
    second = condense_messages(earlier + later).messages
    assert second[: len(earlier)] == first
    assert earlier + later == given_


@given(conversations)
def test_only_user_messages_change(messages: list[Message]) -> None:
    result = condense_messages(messages)
    assert len(result.messages) == len(messages)
    for before, after in zip(messages, result.messages, strict=True):
        if before["role"] != "user":
            assert after is before
        assert {key: value for key, value in before.items() if key != "content"} == {
            key: value for key, value in after.items() if key != "content"
        }
    assert result.after <= result.before


def test_the_newest_message_has_the_receipt() -> None:
    result = condense_messages([{"role": "user", "content": LONG}, {"role": "assistant", "content": "ok"}])
    (receipt,) = result.newest
    assert receipt.reason is None
    assert receipt.text == result.messages[0]["content"]
    assert (result.before, result.after) == (len(LONG), len(receipt.text))
    assert "def step_7(state)" in receipt.text


def test_one_part_may_ask_about_another() -> None:
    parts = [{"type": "text", "text": FUNCTIONS}, {"type": "text", "text": "Explain step_55() to me please."}]
    result = condense_messages([{"role": "user", "content": parts, "name": "ada"}], context_chars=1000)
    content = result.messages[0]["content"]
    assert content[1] is parts[1]
    assert "def step_55(state)" in content[0]["text"]
    assert len(content[0]["text"]) <= 1000
    assert result.messages[0]["name"] == "ada"


def test_what_is_marked_for_a_cache_stays() -> None:
    parts = [{"type": "text", "text": LONG, "cache_control": {"type": "ephemeral"}}]
    result = condense_messages([{"role": "user", "content": parts}])
    assert result.messages[0]["content"] is parts


@pytest.mark.parametrize(
    "odd", [{}, {"role": "user"}, {"role": "user", "content": None}, {"role": "user", "content": [3, {}]}]
)
def test_malformed_messages_pass(odd: Message) -> None:
    assert condense_messages([odd]).messages == [odd]
