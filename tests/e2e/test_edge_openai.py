"""The edge as OpenAI's own client sees it, with the real backend behind it.

The edge asks for short answers whole and for long ones as a stream; the client must not be able to tell.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import openai
import pytest
from openai.types import Completion
from openai.types.chat import ChatCompletion

from support.fake_upstream import CHUNKED, chunk, fake_upstream
from support.inference import LONG, TINY
from support.process import console_script, running
from support.system import System, edge_environment, running_system
from support.waiting import eventually

EDGE = [console_script("cerebrum-edge")]
PROMPT = "def fibonacci(n):"
ASK: list[Any] = [{"role": "user", "content": "What is the weather in Oslo?"}]
# The edge streams an answer from its backend above so many tokens.
AT_ONCE, IN_PARTS = 256, 257
CODE = "\n".join(f"def step_{at}(left, right):\n    return left * {at} + right\n" for at in range(150))
LONG_PROMPT = f"Make step_17 async.\n\n```python\n{CODE}```\n"
SCHEMA = {
    "type": "object",
    "properties": {"city": {"enum": ["Oslo", "Rome"]}, "days": {"type": "integer", "minimum": 1, "maximum": 7}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "forecast", "schema": SCHEMA, "strict": True}}
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}]


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Without flash attention two runs of one greedy request are the same text."""
    with running_system(tmp_path_factory.mktemp("openai"), inference={"FLASH_ATTENTION": "off"}) as both:
        yield both


@pytest.fixture(scope="module")
def sdk(system: System) -> Iterator[openai.OpenAI]:
    with client_of(system.edge.url) as one:
        yield one


def client_of(url: str, *, base: str = "/v1", retries: int = 0) -> openai.OpenAI:
    return openai.OpenAI(base_url=url + base, api_key="none", max_retries=retries)


def complete(sdk: openai.OpenAI, prompt: Any = PROMPT, **more: Any) -> Completion:
    answer: Completion = sdk.completions.create(**{"model": TINY, "prompt": prompt, "temperature": 0, **more})
    return answer


def chat(sdk: openai.OpenAI, messages: Any = ASK, **more: Any) -> ChatCompletion:
    answer: ChatCompletion = sdk.chat.completions.create(
        **{"model": TINY, "messages": messages, "temperature": 0, **more}
    )
    return answer


def chunks(sdk: openai.OpenAI, *, of_chat: bool, **more: Any) -> list[Any]:
    return list((chat if of_chat else complete)(sdk, stream=True, **more))


def said(found: list[Any]) -> str:
    choices = [one.choices[0] for one in found if one.choices]
    return "".join((one.delta.content if hasattr(one, "delta") else one.text) or "" for one in choices)


def text_of(answer: Any) -> str:
    choice = answer.choices[0]
    return str(choice.message.content if hasattr(choice, "message") else choice.text)


both_endpoints = pytest.mark.parametrize("of_chat", [False, True], ids=["completion", "chat"])
both_ways = pytest.mark.parametrize("most", [40, 300], ids=["at once", "in parts"])


@both_endpoints
@both_ways
def test_streamed_answer_is_the_whole_one(sdk: openai.OpenAI, of_chat: bool, most: int) -> None:
    whole: Any = (chat if of_chat else complete)(sdk, max_tokens=most)
    found = chunks(sdk, of_chat=of_chat, max_tokens=most, stream_options={"include_usage": True})
    assert said(found) == text_of(whole) != ""
    reasons = [one.choices[0].finish_reason for one in found if one.choices]
    assert [reason for reason in reasons if reason] == [whole.choices[0].finish_reason]
    assert found[-1].usage.completion_tokens == whole.usage.completion_tokens <= most
    assert len({one.id for one in found}) == 1
    assert {one.object for one in found} == {"chat.completion.chunk" if of_chat else "text_completion"}
    assert whole.object == ("chat.completion" if of_chat else "text_completion")


@both_endpoints
@pytest.mark.parametrize("logprobs", [False, True])
def test_answer_is_the_same_whether_the_backend_gave_it_at_once_or_in_parts(
    sdk: openai.OpenAI, of_chat: bool, logprobs: bool
) -> None:
    """In every field but its id, its times and what the prompt's cache did."""
    ask: Any = chat if of_chat else complete
    more: dict[str, Any] = {"extra_body": {"return_tokens": True}}
    if logprobs:
        more |= {"logprobs": True, "top_logprobs": 2} if of_chat else {"logprobs": 2}
    stop = text_of(ask(sdk, max_tokens=60))[-6:]

    def seen(most: int) -> Any:
        answer = ask(sdk, max_tokens=most, stop=stop, **more).model_dump()
        del answer["id"], answer["created"], answer["timings"], answer["usage"]["prompt_tokens_details"]
        return json.loads(json.dumps(answer), parse_float=lambda number: round(float(number), 2))

    assert seen(AT_ONCE) == seen(IN_PARTS)
    assert seen(AT_ONCE)["choices"][0]["finish_reason"] == "stop"


@both_endpoints
def test_usage_is_in_a_stream_only_when_it_is_asked_for(sdk: openai.OpenAI, of_chat: bool) -> None:
    asked = chunks(sdk, of_chat=of_chat, max_tokens=4, stream_options={"include_usage": True})
    assert asked[-1].choices == []
    assert asked[-1].usage.total_tokens == asked[-1].usage.prompt_tokens + asked[-1].usage.completion_tokens
    assert all(one.usage is None for one in asked[:-1])
    for options in (None, {"include_usage": False}):
        more = {} if options is None else {"stream_options": options}
        found = chunks(sdk, of_chat=of_chat, max_tokens=4, **more)
        assert all(one.choices and one.usage is None for one in found)
        assert found[-1].choices[0].finish_reason is not None


def test_backends_own_fields_stay_inside_unless_asked_for(sdk: openai.OpenAI) -> None:
    """The edge lets its backend name the tokens, to go on behind them; clients did not ask for that."""
    for of_chat in (False, True):
        for one in chunks(sdk, of_chat=of_chat, max_tokens=8):
            assert all("tokens" not in choice.model_dump() for choice in one.choices)
    found = chunks(sdk, of_chat=False, max_tokens=8, extra_body={"return_tokens": True})
    assert sum(len(one.choices[0].model_dump().get("tokens") or ()) for one in found) == 8


@both_ways
def test_suffix_fills_in_the_middle(sdk: openai.OpenAI, most: int) -> None:
    plain = complete(sdk, "def f(", max_tokens=most)
    between = complete(sdk, "def f(", suffix="): pass", max_tokens=most)
    assert plain.usage is not None
    assert between.usage is not None
    assert between.usage.prompt_tokens > plain.usage.prompt_tokens
    assert said(chunks(sdk, of_chat=False, prompt="def f(", suffix="): pass", max_tokens=most)) == text_of(between)


@pytest.mark.parametrize("more", [{"max_tokens": 8}, {"max_tokens": 300}, {"max_tokens": 8, "stream": True}])
def test_what_the_backend_refuses_comes_through_with_its_status_and_field(
    sdk: openai.OpenAI, more: dict[str, Any]
) -> None:
    with pytest.raises(openai.BadRequestError, match="suffix goes with a prompt that is text") as caught:
        complete(sdk, [1, 2, 3], suffix="x", **more)
    assert (caught.value.param, caught.value.code) == ("suffix", "invalid_request")
    with pytest.raises(openai.UnprocessableEntityError) as refused:
        chat(sdk, top_logprobs=3, **more)
    assert "top_logprobs needs logprobs" in refused.value.message


@both_endpoints
def test_stop_and_seed(sdk: openai.OpenAI, of_chat: bool) -> None:
    ask: Any = chat if of_chat else complete
    text = text_of(ask(sdk, max_tokens=20))
    mark = text[5:9]
    for stop in (mark, [mark, "never said"]):
        cut = ask(sdk, max_tokens=20, stop=stop)
        assert (text_of(cut), cut.choices[0].finish_reason) == (text[: text.index(mark)], "stop")
    texts = [text_of(ask(sdk, max_tokens=5, temperature=1, seed=seed)) for seed in (3, 3, 4, 5, 6)]
    assert texts[0] == texts[1]
    assert len(set(texts)) > 1


@both_ways
def test_logprobs_are_of_the_text(sdk: openai.OpenAI, most: int) -> None:
    block = complete(sdk, max_tokens=most, logprobs=3).choices[0]
    assert block.logprobs is not None
    assert "".join(block.logprobs.tokens or ()) == block.text
    choice = chat(sdk, max_tokens=most, logprobs=True, top_logprobs=2).choices[0]
    assert choice.logprobs is not None
    rows = choice.logprobs.content or []
    assert b"".join(bytes(row.bytes or ()) for row in rows).decode() == choice.message.content
    assert all(len(row.top_logprobs) == 2 for row in rows)


@pytest.mark.parametrize("most", [200, 400], ids=["at once", "in parts"])
@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "weather"}}])
def test_tool_that_must_be_called_is_called(sdk: openai.OpenAI, choice: Any, most: int) -> None:
    ask: dict[str, Any] = {"tools": TOOLS, "tool_choice": choice, "parallel_tool_calls": False, "max_tokens": most}
    answer = chat(sdk, **ask).choices[0]
    assert (answer.finish_reason, answer.message.content) == ("tool_calls", None)
    assert answer.message.tool_calls is not None
    (call,) = answer.message.tool_calls
    assert call.type == "function"
    assert call.id.startswith("call_")
    assert call.function.name == "weather"
    assert set(json.loads(call.function.arguments)) == {"city", "days"}
    deltas = [part for one in chunks(sdk, of_chat=True, **ask) for part in one.choices[0].delta.tool_calls or ()]
    assert [part.index for part in deltas] == [0] * len(deltas)
    assert [part.id is not None for part in deltas] == [True] + [False] * (len(deltas) - 1)
    assert "".join(part.function.arguments or "" for part in deltas) == call.function.arguments
    history = [*ASK, answer.message.model_dump(exclude_none=True), {"role": "tool", "tool_call_id": call.id}]
    history[-1]["content"] = "rain"
    assert chat(sdk, history, tools=TOOLS, max_tokens=4).choices[0].finish_reason is not None


@pytest.mark.parametrize("most", [200, 400], ids=["at once", "in parts"])
def test_answer_has_the_form_that_was_asked_for(sdk: openai.OpenAI, most: int) -> None:
    ask = {"response_format": FORMAT, "max_tokens": most, "temperature": 1, "seed": 1}
    assert set(json.loads(text_of(chat(sdk, **ask)))) == {"city", "days"}
    assert said(chunks(sdk, of_chat=True, **ask)) == text_of(chat(sdk, **ask))


@pytest.mark.parametrize("name", ["auto", "", "default", TINY, None])
def test_model_may_be_left_to_the_edge(system: System, name: str | None) -> None:
    body = {"prompt": PROMPT, "max_tokens": 1} | ({} if name is None else {"model": name})
    answer = httpx.post(f"{system.edge.url}/v1/completions", json=body, trust_env=False)
    assert (answer.status_code, answer.json()["model"]) == (200, TINY)


def test_model_that_nobody_has_is_a_404_that_says_which_there_are(sdk: openai.OpenAI) -> None:
    for of_chat in (False, True):
        for stream in (False, True):
            with pytest.raises(openai.NotFoundError, match=f"no model 'gpt-9'; available are: {TINY}") as caught:
                (chat if of_chat else complete)(sdk, model="gpt-9", stream=stream)
            assert (caught.value.param, caught.value.code) == ("model", "model_not_found")


@pytest.mark.parametrize("base", ["", "/v1", "/v1/"])
def test_base_url_is_right_with_and_without_v1(system: System, base: str) -> None:
    with client_of(system.edge.url, base=base) as sdk:
        assert complete(sdk, max_tokens=2).usage is not None
        assert chat(sdk, max_tokens=2).choices[0].message.role == "assistant"
        assert [model.id for model in sdk.models.list()] == [TINY]
        assert len(chunks(sdk, of_chat=True, max_tokens=2)) >= 2


@pytest.mark.parametrize("path", ["/models", "/v1/models"])
def test_models_are_listed_as_web_interfaces_read_them(system: System, path: str) -> None:
    listing = httpx.get(f"{system.edge.url}{path}", trust_env=False).json()
    assert listing["object"] == "list"
    assert listing["data"] == [{"id": TINY, "object": "model", "created": 0, "owned_by": "cerebrum"}]


def test_request_id_is_the_clients(sdk: openai.OpenAI) -> None:
    for most in (1, 300):
        assert complete(sdk, max_tokens=most, extra_headers={"X-Request-ID": "sdk-7"})._request_id == "sdk-7"
    made = [complete(sdk, max_tokens=1)._request_id for _ in range(2)]
    assert None not in made
    assert made[0] != made[1]


def test_errors_have_the_clients_own_classes(sdk: openai.OpenAI) -> None:
    with pytest.raises(openai.UnprocessableEntityError, match="temperature: ") as caught:
        complete(sdk, temperature=9)
    assert (caught.value.param, caught.value.request_id is not None) == ("temperature", True)
    with pytest.raises(openai.APIStatusError, match="400000 are allowed") as large:
        complete(sdk, "x" * 400_001)
    assert (large.value.status_code, large.value.code) == (413, "prompt_too_large")
    with pytest.raises(openai.APIStatusError, match="larger than") as body:
        complete(sdk, "x" * 10_000_000)
    assert body.value.status_code == 413
    with pytest.raises(openai.NotFoundError, match="nothing at this path"):
        sdk.responses.create(model=TINY, input="x")


def test_full_edge_is_a_503_with_a_time_after_which_the_client_tries_again(system: System) -> None:
    settings = edge_environment(system.inference.url, MAX_INFLIGHT="1", MAX_QUEUE="0")
    key = {"CEREBRUM_EDGE_API_KEY": system.key}
    with running(EDGE, {**settings, **key}) as edge, client_of(edge.url) as sdk:
        stream: Any = complete(sdk, stream=True, max_tokens=LONG["max_tokens"], extra_body={"ignore_eos": True})
        next(stream)
        with pytest.raises(openai.InternalServerError) as caught:
            complete(sdk)
        assert (caught.value.status_code, caught.value.code) == (503, "overloaded")
        assert int(caught.value.response.headers["retry-after"]) >= 1
        # The place comes free between the first try and the second.
        leaving = threading.Timer(0.1, stream.close)
        leaving.start()
        with client_of(edge.url, retries=5) as patient:
            assert complete(patient, max_tokens=2).usage is not None
        leaving.join()


def test_backend_that_is_lost_in_mid_stream_is_an_error_of_the_clients_library() -> None:
    def behave(connection: socket.socket) -> None:
        choice = {"index": 0, "delta": {"content": "a"}, "tokens": [1], "finish_reason": None}
        event = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
        connection.sendall(CHUNKED + chunk(b"data: " + json.dumps(event).encode() + b"\n\n"))
        fake.close()

    with (
        fake_upstream(behave) as fake,
        running(EDGE, edge_environment(fake.url, RESUME_TIMEOUT="0.2")) as edge,
        client_of(edge.url) as sdk,
        pytest.raises(openai.APIError),
    ):
        chunks(sdk, of_chat=True, model="m")


def streams(sdk: openai.OpenAI) -> None:
    stream: Any = complete(sdk, "x", stream=True, max_tokens=LONG["max_tokens"], extra_body={"ignore_eos": True})
    next(stream)
    stream.close()


def chats(sdk: openai.OpenAI) -> None:
    stream: Any = chat(sdk, stream=True, max_tokens=LONG["max_tokens"], extra_body={"ignore_eos": True})
    next(stream)
    stream.close()


def waits_for_all_of_it(sdk: openai.OpenAI) -> None:
    with pytest.raises(openai.APITimeoutError):
        complete(sdk, "x", timeout=0.5, max_tokens=LONG["max_tokens"], extra_body={"ignore_eos": True})


@pytest.mark.parametrize("client", [streams, chats, waits_for_all_of_it], ids=lambda one: one.__name__)
def test_client_that_leaves_frees_the_slot(
    system: System, sdk: openai.OpenAI, client: Callable[[openai.OpenAI], None]
) -> None:
    client(sdk)
    eventually(lambda: system.slots_busy() == 0, "a free slot")
    eventually(lambda: stats(system.edge.url)["requests_active"] == 0, "a free place")


def test_client_that_leaves_before_the_first_token_frees_the_backend() -> None:
    def thinks(connection: socket.socket) -> None:
        fake.wait_for_client_to_leave(connection)

    more: dict[str, Any]
    with (
        fake_upstream(thinks) as fake,
        running(EDGE, edge_environment(fake.url)) as edge,
        client_of(edge.url) as sdk,
    ):
        for ask in (complete, chat):
            for more in ({"max_tokens": 8}, {"max_tokens": 300}, {"max_tokens": 8, "stream": True}):
                fake.client_gone.clear()
                with pytest.raises(openai.APITimeoutError):
                    ask(sdk, model="m", timeout=0.3, **more)
                assert fake.client_gone.wait(15), more
                eventually(lambda: stats(edge.url)["requests_active"] == 0, "a free place")


def stats(url: str) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{url}/v1/stats", trust_env=False).json()
    return found


@pytest.mark.parametrize("more", [{"max_tokens": 2}, {"max_tokens": 300}, {"max_tokens": 2, "stream": True}])
@both_endpoints
def test_condensed_prompt_has_its_receipt_in_the_headers(
    sdk: openai.OpenAI, of_chat: bool, more: dict[str, Any]
) -> None:
    def receipt(text: str, **body: str) -> str | None:
        if of_chat:
            messages: Any = [{"role": "user", "content": text}]
            raw = sdk.chat.completions.with_raw_response.create(model=TINY, messages=messages, extra_body=body, **more)
            header: str | None = raw.headers.get("x-cerebrum-condensed")
            return header
        found = sdk.completions.with_raw_response.create(model=TINY, prompt=text, extra_body=body, **more)
        return found.headers.get("x-cerebrum-condensed")

    header = receipt(LONG_PROMPT)
    assert header is not None
    before, _, after = header.partition(";")[0].partition("->")
    assert int(before) == len(LONG_PROMPT) > int(after) > 0
    assert receipt(LONG_PROMPT, condense="off") is None
    assert receipt("short") is None


def test_condensed_prompt_is_what_the_backend_counts(sdk: openai.OpenAI) -> None:
    messages: Any = [{"role": "user", "content": LONG_PROMPT}]
    shorter = chat(sdk, messages, max_tokens=1)
    full = chat(sdk, messages, max_tokens=1, extra_body={"condense": "off"})
    assert shorter.usage is not None
    assert full.usage is not None
    assert shorter.usage.prompt_tokens < 0.9 * full.usage.prompt_tokens


def test_both_sides_of_a_cursor_are_shortened_only_to_what_the_model_holds() -> None:
    """The fake backend's model has a context of 512 tokens."""
    lines = "".join(f"def name_{number}(value):\n    return value + {number}\n\n\n" for number in range(200))
    answer = b'{"id":"c","object":"text_completion","created":1,"model":"m","choices":[{"index":0,"text":"x",'
    answer += b'"logprobs":null,"finish_reason":"stop"}],"usage":{"completion_tokens":1}}'

    def behave(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(answer), answer))

    with fake_upstream(behave) as fake, running(EDGE, edge_environment(fake.url)) as edge:
        sent = []
        for prefix, suffix in (("def f(", "):\n    pass\n"), (lines + "def last(", "):\n    pass\n" + lines)):
            body = {"prompt": prefix, "suffix": suffix, "max_tokens": 8}
            assert httpx.post(f"{edge.url}/v1/completions", json=body, trust_env=False).status_code == 200
            sent.append(json.loads(fake.requests[-1].partition(b"\r\n\r\n")[2]))
    assert (sent[0]["prompt"], sent[0]["suffix"]) == ("def f(", "):\n    pass\n")
    assert len(sent[1]["prompt"]) + len(sent[1]["suffix"]) <= 512 * 4
    assert sent[1]["prompt"].endswith("def last(")
    assert sent[1]["suffix"].startswith("):\n    pass\n")
