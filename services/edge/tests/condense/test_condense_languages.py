"""One table for all languages with a grammar: what the instruction names stays whole, what is left can be parsed."""

from __future__ import annotations

import pytest

from cerebrum_edge.condense import condense, grammars, splitter, units
from cerebrum_edge.condense.dialect import grammar_of, language_of

# A head, a function with {name} and {index} in it, a tail; and how its comments begin.
SOURCES = {
    "python": (
        "import os\nimport sys\n\nclass Store:\n",
        '    def {name}(self, key):\n        """Of {index}."""\n        if key in self.table:\n'
        "            value = self.table[key] + {index}\n            return value\n        raise KeyError(key)\n\n",
        "",
        "#",
    ),
    "javascript": (
        "import fs from 'fs'\n\nclass Store {\n",
        "  {name}(key) {\n    if (this.table[key]) {\n      const value = this.table[key] + {index}\n"
        "      return value\n    } else {\n      throw new Error('none of ' + key)\n    }\n  }\n\n",
        "}\n",
        "//",
    ),
    "typescript": (
        "import fs from 'fs'\n\nexport class Store {\n  private table: Record<string, number> = {}\n",
        "  {name}(key: string): number {\n    if (this.table[key]) {\n      const value = this.table[key] + {index}\n"
        "      return value\n    }\n    throw new Error('none of ' + key)\n  }\n\n",
        "}\n",
        "//",
    ),
    "go": (
        'package store\n\nimport (\n\t"errors"\n\t"fmt"\n)\n\n',
        "func (s *Store) {name}(key string) (int, error) {\n\tif value, ok := s.table[key]; ok {\n"
        "\t\tfmt.Println(value)\n\t\treturn value + {index}, nil\n\t}\n\treturn 0, errors.New(key)\n}\n\n",
        "",
        "//",
    ),
    "rust": (
        "use std::collections::HashMap;\n\nimpl Store {\n",
        "    pub fn {name}(&self, key: &str) -> Option<u32> {\n        match self.table.get(key) {\n"
        '            Some(value) => {\n                println!("{{}}", value);\n'
        "                Some(value + {index})\n"
        "            }\n            None => None,\n        }\n    }\n\n",
        "}\n",
        "//",
    ),
    "c": (
        "#include <stdio.h>\n#include <stdlib.h>\n\n",
        "static int {name}(struct store *s, int key) {\n  for (int i = 0; i < s->size; i++) {\n"
        "    if (s->keys[i] == key) {\n      return s->values[i] + {index};\n    }\n  }\n  return -1;\n}\n\n",
        "",
        "//",
    ),
    "cpp": (
        "#include <map>\n#include <string>\n\nnamespace store {\n",
        "int Store::{name}(const std::string &key) {\n  auto found = table.find(key);\n  if (found == table.end()) {\n"
        "    throw std::out_of_range(key);\n  }\n  return found->second + {index};\n}\n\n",
        "}\n",
        "//",
    ),
    "java": (
        "import java.util.Map;\n\npublic class Store {\n",
        "    public int {name}(String key) {\n        Integer value = table.get(key);\n        if (value == null) {\n"
        '            throw new StateException("no " + key);\n        }\n        return value + {index};\n    }\n\n',
        "}\n",
        "//",
    ),
    "shell": (
        "#!/bin/bash\nset -euo pipefail\n\n",
        '{name}() {\n  local key="$1"\n  if [ -f "$key" ]; then\n    cat "$key"\n    echo "{index}"\n  else\n'
        '    echo "none of $key" >&2\n    return 1\n  fi\n}\n\n',
        "",
        "#",
    ),
}
NAMES = [
    f"{verb}_{noun}"
    for noun in ("pear", "plum", "fig", "quince", "lemon")
    for verb in ("load", "store", "weigh", "peel")
]


def source(language: str) -> tuple[str, list[str]]:
    head, function, tail, _ = SOURCES[language]
    functions = [
        function.replace("{name}", name).replace("{index}", str(index)).replace("{{", "{").replace("}}", "}")
        for index, name in enumerate(NAMES, 100)
    ]
    return head + "".join(functions) + tail, functions


def errors(text: str, language: str) -> int:
    found, waiting = 0, [grammars.parse(text, language)]
    while waiting:
        node = waiting.pop()
        found += node.is_error
        waiting += node.children
    return found


@pytest.mark.parametrize("language", sorted(SOURCES))
@pytest.mark.parametrize("share", [0.2, 0.4, 0.6])
def test_what_is_named_stays_whole_and_the_rest_parses(language: str, share: float) -> None:
    text, functions = source(language)
    assert not errors(text, language)
    result = condense(
        text, instruction="weigh_quince() must log its key", language=language, budget=int(len(text) * share)
    )
    assert result.reason is None
    assert functions[NAMES.index("weigh_quince")].strip("\n") in result.text
    assert not errors(result.text, language), result.text
    markers = [line.strip() for line in result.text.split("\n") if "elided" in line]
    assert markers
    assert all(SOURCES[language][3] in line for line in markers)


@pytest.mark.parametrize("language", sorted(SOURCES))
def test_the_language_is_detected(language: str) -> None:
    text, _ = source(language)
    found = language_of(text, None)
    assert grammar_of(found, text, told=False) in {language, "typescript" if language == "javascript" else language}


@pytest.mark.parametrize("language", sorted(SOURCES))
def test_markers_name_what_they_stand_for(language: str) -> None:
    text, _ = source(language)
    result = condense(text, instruction="load_pear", language=language, budget=int(len(text) * 0.4))
    shown = "\n".join(line for line in result.text.split("\n") if "elided" not in line)
    told = [line for line in result.text.split("\n") if "elided" in line]
    assert any(name in line for line in told for name in NAMES if name not in shown)


@pytest.mark.parametrize("language", sorted(SOURCES))
def test_without_a_grammar_indentation_finds_the_same_functions(language: str) -> None:
    text, functions = source(language)
    lines = units.split_lines(text)
    whole = units.outline(lines, splitter.parts(lines))
    begins = {line for line, content in enumerate(lines) if any(f"{name}(" in content for name in NAMES)}
    edges = {unit.first for unit in whole.units} | {block.first for block in whole.blocks}
    assert len(begins - edges) <= 1  # the first one may be gathered with what is above it
    assert len(whole.units) >= len(functions)


def test_an_emptied_body_keeps_a_statement() -> None:
    body = "".join(f"    first_{index} = compute(first, {index})\n" for index in range(30))
    deeper = body.replace("    ", "        ")
    text = f"def alpha():\n{body}\n\ndef beta(count):\n    if count:\n{deeper}    else:\n        pear = 1\n"
    text += "        plum = 2\n" * 20
    result = condense(text, instruction="pear", language="python", budget=700)
    assert "        ...  # [30 lines elided]" in result.text
    assert not errors(result.text, "python")


def test_jsx_has_its_own_grammar() -> None:
    assert grammar_of("typescript", "return <b>{x}</b>", told=True) == "tsx"
    assert grammar_of("typescript", "return x", told=True) == "typescript"
    assert grammar_of("javascript", "return <b/>", told=False) == "tsx"
    assert grammar_of("javascript", "return <b/>", told=True) == "javascript"


def test_an_unknown_language_is_split_by_indentation() -> None:
    text = "".join(f"module m{index}:\n  let a = {index}\n  let b = a * {index}\n\n" for index in range(60))
    result = condense(text, instruction="m42", language="zed", budget=600)
    assert "module m42:" in result.text
    assert len(result.text) <= 600
