"""For every field of every endpoint of the edge: values that it must refuse by itself, as JSON.

Optional fields take null here: clients write it for what they leave out.
"""

from __future__ import annotations

import json
from typing import Any

from support.bad_values import (
    ASSISTANT,
    CALL,
    HALF,
    HUGE,
    MOST,
    NO_FLAG,
    NO_IDS,
    NO_INTEGER,
    NO_NUMBER,
    NO_TEXT,
    SCHEMA,
    TOOL,
)

MODEL = [HALF, '"nothing"', '"../../etc/passwd"', '"\\u0000"', "7", "[]", json.dumps("m" * 10_000)]
STOP = [
    '""', '[""]', HALF, f"[{HALF}]", "7", "[7]", "{}", "[[]]", json.dumps("a" * 257), json.dumps(["a"] * 17),
    json.dumps([f"stop {at}" for at in range(10_000)]),
]  # fmt: skip
SAMPLING: dict[str, list[str]] = {
    "model": MODEL,
    "temperature": [*NO_NUMBER, "-0.1", "2.1"],
    "top_p": [*NO_NUMBER, "0", "-1", "1.1"],
    "stop": STOP,
    "seed": [*NO_INTEGER, "-1", str(2**63)],
    "return_tokens": NO_FLAG,
    "condense": ["null", "true", "7", '"on"', '"AUTO"', "[]", HALF],
}
LANGUAGE = ['""', HALF, "7", "[]", '"a b"', '"\\u0000"', '"../x"', '"klingon"', json.dumps("a" * 33)]
PROMPT = ['""', "null", *NO_TEXT]
NATIVE = {
    **SAMPLING,
    "prompt": PROMPT,
    "language": LANGUAGE,
    "max_tokens": [*MOST, "null"],
}
DEEP = [f"{'[' * 900}{']' * 900}", f"{'[' * 300}{']' * 300}"]
# What stands in objects that the edge passes on: it has to be JSON in UTF-8, however deep it is in there.
NO_JSON = [HALF, f"[[{HALF}]]", f'{{"a": {{{HALF}: 1}}}}', "NaN", '{"a": [-Infinity]}', "[1e999]", *DEEP]
OPENAI: dict[str, list[str]] = {
    **SAMPLING,
    "stream": [*NO_FLAG, "null"],
    "stream_options": ["7", "[]", '{"include_usage": "perhaps"}', '{"include_usage": null}'],
    "n": ["0", "2", "-1", '"1"', "NaN", "1.5", HUGE],
    "max_tokens": MOST,
    "top_k": [*NO_INTEGER, "-1", "1001"],
    "min_p": [*NO_NUMBER, "-0.1", "1.1"],
    "presence_penalty": [*NO_NUMBER, "-2.1", "2.1"],
    "frequency_penalty": [*NO_NUMBER, "-2.1", "2.1"],
    "repeat_penalty": [*NO_NUMBER, "0", "-1", "2.1"],
    "logit_bias": [
        '{"-1": 1}', '{"x": 1}', '{"1": 101}', '{"1": -101}', '{"1": NaN}', '{"1": null}', '{"1": "a"}', '{"1.5": 1}',
        '{"99999999999": 1}', f"{{{HALF}: 1}}", "[]", "7", json.dumps({str(at): 1 for at in range(301)}),
    ],
    "ignore_eos": NO_FLAG,
    "keep_alive": [*NO_NUMBER, "-2", "1e9"],
    "timeout_seconds": [*NO_NUMBER, "0", "-1", "3601"],
}  # fmt: skip
BAD_CALLS = [CALL % HALF, *(f'{{"id": "c", "function": {value}}}' for value in NO_JSON)]
# By path: the smallest good body, and the bad values of each field.
ENDPOINTS: dict[str, tuple[dict[str, Any], dict[str, list[str]]]] = {
    "/v1/complete": ({"prompt": "x"}, NATIVE),
    "/v1/complete/stream": ({"prompt": "x"}, NATIVE),
    "/v1/condense": (
        {"prompt": "x"},
        {
            "prompt": PROMPT,
            "instruction": NO_TEXT,
            "language": LANGUAGE,
            "focus": [*NO_INTEGER, "0", "-1"],
            "budget": [*NO_INTEGER, "0", "-1", "100000001"],
        },
    ),
    "/v1/completions": (
        {"prompt": "x"},
        {
            **OPENAI,
            "prompt": ['""', "[]", "null", HALF, "7", "{}", "[[1]]", '["a", "b"]', *NO_IDS],
            "suffix": NO_TEXT,
            "best_of": ["0", "2", '"1"', "NaN"],
            "echo": NO_FLAG,
            "logprobs": [*NO_INTEGER, "-1", "6"],
        },
    ),
    "/v1/chat/completions": (
        {"messages": [{"role": "user", "content": "x"}]},
        {
            **OPENAI,
            "messages": [
                "null", "[]", "7", '"x"', "{}", "[7]", "[{}]", '[{"role": "king", "content": "x"}]',
                '[{"role": "user", "content": 7}]', '[{"role": "user", "content": "\\ud83d"}]',
                '[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]',
                '[{"role": "user", "content": [{"type": "text", "text": "\\ud83d"}]}]',
                '[{"role": "user", "content": [{"type": "text"}]}]',
                '[{"role": "user", "content": "x", "name": "\\ud83d"}]',
                '[{"role": "tool", "content": "x", "tool_call_id": "\\ud83d"}]',
                ASSISTANT % "7", ASSISTANT % "[7]", *(ASSISTANT % f"[{call}]" for call in BAD_CALLS),
                ASSISTANT % f"[{', '.join([CALL % json.dumps('{}')] * 65)}]",
                json.dumps([{"role": "user", "content": "x"}] * 10_001),
            ],
            "max_completion_tokens": MOST,
            "logprobs": NO_FLAG,
            "top_logprobs": [*NO_INTEGER, "-1", "21"],
            "response_format": ["7", '"json"', "[]", *(SCHEMA % value for value in NO_JSON)],
            "tools": [
                "7", "{}", "[7]", '["x"]', f"[{', '.join([TOOL % (json.dumps('f'), '{}')] * 65)}]",
                *(f"[{TOOL % (json.dumps('f'), value)}]" for value in NO_JSON), f"[{{{HALF}: 1}}]",
            ],
            "tool_choice": ['"perhaps"', "7", "[]", *(f'{{"function": {value}}}' for value in NO_JSON)],
            "parallel_tool_calls": NO_FLAG,
        },
    ),
    "/infill": (
        {"input_prefix": "x", "input_suffix": "y"},
        {
            "input_prefix": [*NO_TEXT, "null"],
            "input_suffix": [*NO_TEXT, "null"],
            "prompt": [*NO_TEXT, "null"],
            "model": MODEL,
            "n_predict": [*NO_INTEGER, "-2", "1048577", "null"],
            "temperature": [*NO_NUMBER, "-0.1", "2.1"],
            "top_p": [*NO_NUMBER, "0", "-1", "1.1"],
            "top_k": [*NO_INTEGER, "-1", "1001"],
            "min_p": [*NO_NUMBER, "-0.1", "1.1"],
            "seed": [*NO_INTEGER, "-2", str(2**63)],
            "stop": STOP,
        },
    ),
}  # fmt: skip
