from __future__ import annotations

import pytest

from cerebrum_edge.routing import ModelInfo, Route, choose
from cerebrum_kit.errors import ModelNotFound, UnprocessableRequest


def model(name: str, *languages: str, loaded: bool = False, fallback: bool = False) -> ModelInfo:
    return ModelInfo(name, name, languages, 4096, loaded, fallback)


QWEN = model("qwen_7b", "python", "javascript", "typescript")
SMALL = model("qwen_1.5b", "python", loaded=True)
LLAMA = model("codellama_7b", "rust", "c", "cpp", "go")
TINY = model("cerebrum-tiny", fallback=True)


@pytest.mark.parametrize(
    ("models", "ask", "route"),
    [
        ([QWEN, LLAMA, TINY], {"prompt": "x", "language": "python"}, Route("qwen_7b", "python", 4096)),
        ([QWEN, LLAMA, TINY], {"prompt": "x", "language": "C++"}, Route("codellama_7b", "cpp", 4096)),
        ([QWEN, LLAMA, TINY], {"prompt": "fn main() {\n  let mut x = 1;"}, Route("codellama_7b", "rust", 4096)),
        ([QWEN, LLAMA, TINY], {"prompt": "x", "language": "cobol"}, Route("cerebrum-tiny", "cobol", 4096)),
        ([QWEN, LLAMA, TINY], {"prompt": "hello"}, Route("cerebrum-tiny", None, 4096)),
        ([QWEN, SMALL], {"prompt": "x", "language": "python"}, Route("qwen_1.5b", "python", 4096)),
        ([QWEN, LLAMA], {"prompt": "hello"}, Route("qwen_7b", None, 4096)),
        ([TINY], {"prompt": "x", "language": "go"}, Route("cerebrum-tiny", "go", 4096)),
        ([QWEN, LLAMA], {"prompt": "def f():", "model": "codellama_7b"}, Route("codellama_7b", "python", 4096)),
    ],
)
def test_route(models: list[ModelInfo], ask: dict[str, str], route: Route) -> None:
    assert choose(models, **ask) == route


def test_unknown_model_is_told_what_there_is() -> None:
    with pytest.raises(ModelNotFound, match="no model 'x'; available are: qwen_7b, codellama_7b"):
        choose([QWEN, LLAMA], prompt="x", model="x")


def test_no_model_at_all() -> None:
    with pytest.raises(ModelNotFound, match="no model installed"):
        choose([], prompt="x")


def test_language_that_nobody_knows_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(UnprocessableRequest, match=r"no language 'pyton' here; did you mean python\?") as caught:
        choose([TINY], prompt="x", language="pyton")
    assert caught.value.param == "language"
    with pytest.raises(UnprocessableRequest, match="leave it out"):
        choose([TINY], prompt="x", language="qqqq")
    own = model("own", "qqqq")
    assert choose([TINY, own], prompt="x", language="qqqq").model == "own", "a manifest may name languages of its own"
