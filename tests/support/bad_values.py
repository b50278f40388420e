"""For every field of every endpoint of the inference service: values that must be refused, as JSON.

Some of them, NaN and half a character for two, no client library would send.
"""

from __future__ import annotations

import json
from typing import Any

HALF = '"\\ud83d"'
HUGE = "1" + "0" * 400
NO_NUMBER = ["NaN", "Infinity", "-Infinity", '"many"', "{}", "[]", HUGE, "-1e400"]
NO_INTEGER = [*NO_NUMBER, "1.5"]
NO_TEXT = [HALF, "7", "{}", "[7, {}]", "true"]
NO_FLAG = ['"perhaps"', "7", "{}", "[]", "NaN"]
NO_ID = ["-1", "2147483648", HUGE, "NaN", "1.5", '"1"', "true", "null", "[]", "{}"]
NO_IDS = [f"[{one}]" for one in NO_ID]

SAMPLING: dict[str, list[str]] = {
    "temperature": [*NO_NUMBER, "-0.1", "2.1", "null"],
    "top_p": [*NO_NUMBER, "0", "-1", "1.1", "null"],
    "top_k": [*NO_INTEGER, "-1", "1001", "null"],
    "min_p": [*NO_NUMBER, "-0.1", "1.1", "null"],
    "presence_penalty": [*NO_NUMBER, "-2.1", "2.1", "null"],
    "frequency_penalty": [*NO_NUMBER, "-2.1", "2.1", "null"],
    "repeat_penalty": [*NO_NUMBER, "0", "-1", "2.1", "null"],
    "seed": [*NO_INTEGER, "-1", str(2**63)],
    "stop": ['""', '[""]', HALF, f"[{HALF}]", "7", "[7]", "{}", json.dumps(["a"] * 17), json.dumps("a" * 257), "[[]]"],
    "logit_bias": [
        '{"-1": 1}', '{"x": 1}', '{"1": 101}', '{"1": -101}', '{"1": NaN}', '{"1": null}', '{"1": "a"}', '{"1.5": 1}',
        '{"2147483648": 1}', '{"2147483647": 1}', "[]", "7", json.dumps({str(at): 1 for at in range(301)}),
    ],
    "ignore_eos": [*NO_FLAG, "null"],
    "return_tokens": [*NO_FLAG, "null"],
    "keep_alive": [*NO_NUMBER, "-2", "1e9"],
    "timeout_seconds": [*NO_NUMBER, "0", "-1", "3601"],
    "model": [HALF, '"nothing"', '"../../etc/passwd"', '"\\u0000"', "7", "[]", json.dumps("m" * 10_000)],
}  # fmt: skip
MOST = [*NO_INTEGER, "0", "-1", "1048577"]
PROMPT = ['""', "[]", "null", HALF, "7", "{}", "[[1]]", '["a", "b"]', *NO_IDS, "[99999999]"]
OPENAI: dict[str, list[str]] = {
    **SAMPLING,
    "stream": [*NO_FLAG, "null"],
    "stream_options": ["7", "[]", '{"include_usage": "perhaps"}', '{"include_usage": null}', '{"nothing": 1}'],
    "n": ["0", "2", "-1", '"1"', "NaN", "null", HUGE],
    "user": ["7", "[]", HALF],
    "metadata": ["7", "[]", '{"a": 1}', '{"a": "\\ud83d"}', '{"\\ud83d": "a"}'],
    "store": [*NO_FLAG],
    "safety_identifier": ["7", HALF],
    "prompt_cache_key": ["7", HALF],
    "service_tier": ["7", HALF],
}
CALL = '{"id": "c", "type": "function", "function": {"name": "f", "arguments": %s}}'
ASSISTANT = '[{"role": "user", "content": "x"}, {"role": "assistant", "tool_calls": %s}]'
TOOL = '{"type": "function", "function": {"name": %s, "parameters": %s}}'
SCHEMA = '{"type": "json_schema", "json_schema": {"name": "n", "schema": %s}}'
SCHEMAS = [
    '{"type": "nothing"}',
    '{"$ref": "#/nowhere"}',
    '{"$ref": "https://example.com/schema"}',
    '{"$ref": "#"}',
    '{"anyOf": []}',
    '{"enum": []}',
    '{"type": "string", "pattern": "(a+)+$"}',
    '{"type": "string", "pattern": "("}',
    '{"type": "string", "minLength": 5, "maxLength": 2}',
    '{"type": "string", "maxLength": 1000000000}',
    '{"type": "string", "maxLength": -1}',
    '{"type": "integer", "minimum": 9, "maximum": 1}',
    '{"type": "integer", "minimum": NaN}',
    '{"type": "number", "maximum": Infinity}',
    '{"type": "array", "minItems": 100000000}',
    '{"type": "object", "properties": []}',
    '{"type": "object", "required": "a"}',
    '{"type": "object", "properties": {"\\ud83d": true}}',
    '{"const": "\\ud83d"}',
    '{"const": NaN}',
    '{"type": ["string", 7]}',
    '{"a": ' * 900 + "1" + "}" * 900,
    json.dumps({"enum": list(range(501))}),
    json.dumps({"type": "object", "properties": {f"p{at}": {} for at in range(200)}}),
    json.dumps({"anyOf": [{"type": "string", "maxLength": at} for at in range(200)]}),
]
# By path: the smallest good body, and the bad values of each field.
ENDPOINTS: dict[str, tuple[dict[str, Any], dict[str, list[str]]]] = {
    "/v1/inference": ({"prompt": "x", "max_tokens": 1}, {**SAMPLING, "prompt": PROMPT, "max_tokens": [*MOST, "null"]}),
    "/v1/inference/stream": (
        {"prompt": "x", "max_tokens": 1},
        {**SAMPLING, "prompt": PROMPT, "max_tokens": [*MOST, "null"]},
    ),
    "/infill": (
        {"input_prefix": "x", "input_suffix": "y", "n_predict": 1},
        {
            **SAMPLING,
            "input_prefix": [*NO_TEXT, "null"],
            "input_suffix": [*NO_TEXT, "null"],
            "prompt": [*NO_TEXT, "null"],
            "n_predict": [*MOST, "null"],
        },
    ),
    "/v1/completions": (
        {"prompt": "x", "max_tokens": 1},
        {
            **OPENAI,
            "prompt": PROMPT,
            "suffix": NO_TEXT,
            "max_tokens": [*MOST, "null"],
            "best_of": ["0", "2", "null", '"1"'],
            "echo": [*NO_FLAG, "null"],
            "logprobs": [*NO_INTEGER, "-1", "6"],
        },
    ),
    "/v1/chat/completions": (
        {"messages": [{"role": "user", "content": "x"}], "max_tokens": 1},
        {
            **OPENAI,
            "messages": [
                "null", "[]", "7", '"x"', "[7]", "[{}]", '[{"role": "user"}]', '[{"role": "king", "content": "x"}]',
                '[{"role": "user", "content": null}]', '[{"role": "user", "content": "\\ud83d"}]',
                '[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]',
                '[{"role": "user", "content": [{"type": "text", "text": "\\ud83d"}]}]',
                '[{"role": "user", "content": "x", "nothing": 1}]', '[{"role": "tool", "content": "x"}]',
                '[{"role": "user", "content": "x"}, {"role": "tool", "content": "x", "tool_call_id": "\\ud83d"}]',
                ASSISTANT % "7", ASSISTANT % "[{}]", ASSISTANT % f"[{CALL % 7}]", ASSISTANT % f"[{CALL % HALF}]",
                ASSISTANT % f"[{CALL % json.dumps(json.dumps('<|im_end|>'))}]",
                ASSISTANT % f"[{', '.join([CALL % json.dumps('{}')] * 65)}]",
            ],
            "max_tokens": MOST,
            "max_completion_tokens": MOST,
            "response_format": [
                "7", '"json"', "{}", '{"type": "xml"}', '{"type": "json_schema"}', SCHEMA % "7",
                *(SCHEMA % schema for schema in SCHEMAS),
            ],
            "logprobs": NO_FLAG,
            "top_logprobs": [*NO_INTEGER, "-1", "21", "3"],
            "tools": [
                "7", "[]", "{}", "[7]", "[{}]", f"[{TOOL % ('null', '{}')}]",
                *(f"[{TOOL % (json.dumps(name), '{}')}]" for name in ("", "a b", "x" * 65, "f\n")),
                f"[{', '.join([TOOL % (json.dumps('f'), '{}')] * 65)}]",
                f"[{TOOL % (json.dumps('f'), '7')}]",
                *(f"[{TOOL % (json.dumps('f'), schema)}]" for schema in SCHEMAS),
            ],
            "tool_choice": ['"required"', '"perhaps"', "7", "{}", '{"type": "function", "function": {"name": "f"}}'],
            "parallel_tool_calls": NO_FLAG,
        },
    ),
    "/v1/embeddings": (
        {"input": "x"},
        {
            "input": [
                '""', "[]", "null", HALF, f"[{HALF}]", "7", "{}", '[""]', "[[]]", '["a", 1]', "[1.5]", "[-1]", "[[-1]]",
                "[[99999999]]", "[NaN]", "[true]", json.dumps(["a"] * 257),
            ],
            "model": SAMPLING["model"],
            "encoding_format": ['"hex"', "7", "null"],
            "user": ["7", HALF],
        },
    ),
    "/v1/tokenize": (
        {"text": "x"},
        {"text": NO_TEXT, "tokens": ["7", '"x"', *NO_IDS], "model": SAMPLING["model"]},
    ),
}  # fmt: skip
