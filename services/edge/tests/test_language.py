from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cerebrum_edge.language import detect, normalize

SAMPLES = {
    "python": [
        "def fibonacci(n):",
        "import os\n\nclass A(B):\n    pass\n",
        "for x in y:\n    if self.z is None:\n        return True",
    ],
    "javascript": ["function add(a, b) {\n  return a + b;\n}", "const f = (x) => x * 2;\nconsole.log(f(2));"],
    "typescript": [
        "interface User {\n  name: string;\n}",
        "export const f = (x: number): string => String(x);\nlet y: boolean = true",
    ],
    "go": [
        "package main\n\nfunc main() {\n\tx := 1\n}",
        "func (s *Server) Run() error {\n\tif err != nil {\n\t\treturn err\n\t}\n}",
    ],
    "rust": ["fn main() {\n    let mut x = vec![1];\n}", "impl Foo {\n    pub fn new() -> Self {\n    }\n}"],
    "c": [
        '#include <stdio.h>\nint main(void) {\n  printf("x");\n}',
        "struct node { int x; };\nvoid f(struct node *n) {\n  free(n->x);\n}",
    ],
    "cpp": [
        "#include <iostream>\nint main() { std::cout << 1; }",
        "template <typename T>\nclass Box {\n  std::vector<T> v;\n};",
    ],
    "java": [
        "public class Main {\n    public static void main(String[] args) {\n        System.out.println(1);\n    }\n}"
    ],
    "shell": ["#!/bin/bash\nset -e\n", 'for f in *.txt; do\n  echo "$f"\ndone'],
}


@pytest.mark.parametrize(("language", "text"), [(name, text) for name, texts in SAMPLES.items() for text in texts])
def test_samples_are_known(language: str, text: str) -> None:
    assert detect(text) == language


@pytest.mark.parametrize("text", ["", "Hello, how are you?", "12345", "\n\n\n", "please write me a poem about the sea"])
def test_prose_is_no_language(text: str) -> None:
    assert detect(text) is None


def test_fence_says_it() -> None:
    assert detect("Please explain:\n```rs\nx\n```\n") == "rust"


@pytest.mark.parametrize(
    ("given_name", "name"), [("Py", "python"), ("C++", "cpp"), ("TSX", "typescript"), ("zig", "zig")]
)
def test_names_are_normalized(given_name: str, name: str) -> None:
    assert normalize(given_name) == name


@given(st.text(max_size=400))
def test_any_text_is_fine(text: str) -> None:
    assert detect(text) is None or detect(text) in SAMPLES
