"""Which programming language a prompt is in. Pure, by counting features that few other languages share.

Only the languages that routing knows; prose, or code without a feature, is None, and then the fallback model answers.
"""

from __future__ import annotations

import difflib
import re

from cerebrum_kit.errors import UnprocessableRequest

# What people write, and the one name that routing uses.
ALIASES = {
    "py": "python",
    "python3": "python",
    "js": "javascript",
    "jsx": "javascript",
    "node": "javascript",
    "ts": "typescript",
    "tsx": "typescript",
    "golang": "go",
    "rs": "rust",
    "c++": "cpp",
    "cxx": "cpp",
    "cc": "cpp",
    "sh": "shell",
    "bash": "shell",
    "zsh": "shell",
    "c#": "csharp",
    "cs": "csharp",
    "f#": "fsharp",
    "kt": "kotlin",
    "rb": "ruby",
    "md": "markdown",
    "yml": "yaml",
    "hs": "haskell",
    "pl": "perl",
    "ps1": "powershell",
    "objective-c": "objectivec",
    "objc": "objectivec",
    "vb.net": "vb",
    "common-lisp": "commonlisp",
    "rst": "restructuredtext",
    "docker": "dockerfile",
    "tf": "terraform",
    "proto": "protobuf",
}

# Languages that no feature here tells, and that may be named all the same: the fallback model answers, or one whose
# manifest lists them.
_OTHERS = (
    "ada", "agda", "apl", "applescript", "asm", "assembly", "awk", "bash", "basic", "bibtex", "clojure", "cmake",
    "cobol", "coffeescript", "commonlisp", "coq", "crystal", "csharp", "css", "csv", "cuda", "d", "dart",
    "delphi", "diff", "dockerfile", "elixir", "elm", "erlang", "fish", "forth", "fortran", "fsharp", "gdscript",
    "glsl", "graphql", "groovy", "haskell", "haxe", "hcl", "hlsl", "html", "idris", "ini", "jinja", "json",
    "json5", "julia", "kotlin", "latex", "lean", "less", "lisp", "lua", "make", "makefile", "markdown", "matlab",
    "mermaid", "mojo", "nasm", "nginx", "nim", "nix", "objectivec", "ocaml", "octave", "odin", "opencl",
    "openscad", "pascal", "perl", "php", "plaintext", "plsql", "postscript", "powershell", "prolog", "protobuf",
    "puppet", "purescript", "qml", "r", "racket", "raku", "reason", "rego", "restructuredtext", "ruby", "sas",
    "sass", "scala", "scheme", "scss", "sed", "smalltalk", "solidity", "sparql", "sql", "stan", "starlark",
    "svelte", "swift", "systemverilog", "tcl", "terraform", "tex", "text", "thrift", "toml", "tsql", "v", "vala",
    "vb", "vba", "verilog", "vhdl", "vim", "viml", "vue", "wasm", "wgsl", "xml", "yaml", "zig",
)  # fmt: skip

_WINDOW = 8_000  # characters that are looked at: enough to tell, and constant time for the largest prompt

# Features are anchored at line starts or word boundaries and never cross a line, so that no text is slow to look at.

_FEATURES: dict[str, tuple[tuple[str, int], ...]] = {
    "python": (
        (r"^[ \t]*(async )?def \w+\(.*\)?[ \t]*(->.*)?:?[ \t]*$", 3),
        (r"^[ \t]*class \w+(\(.*\))?:[ \t]*$", 3),
        (r"^[ \t]*(from [\w.]+ )?import [\w.*, ]+$", 2),
        (r"^[ \t]*(elif .*:|except\b.*:|with .* as \w+:|@\w+)", 2),
        (r"\b(self|None|True|False|__name__)\b", 1),
    ),
    "javascript": (
        (r"^[ \t]*(export )?(async )?function ?\*? ?\w* ?\(", 3),
        (r"\b(const|let|var) [\w{\[][\w ,}\]]{0,80} ?= ?", 2),
        (r"=>\s*[{(\w]", 2),
        (r"\brequire\(['\"]|module\.exports|console\.log\(|===|!==", 2),
        (r"^[ \t]*import .* from ['\"]", 2),
    ),
    "typescript": (
        (r"^[ \t]*(export )?(interface|type|enum) \w+(<.*>)? ?(=|\{)", 4),
        (r"[\w)\]]\??: (string|number|boolean|void|any|unknown|Promise<)", 4),
        (r"\b(const|let) \w+: \w", 3),
        (r"\b(private|public|readonly) \w+[:(]", 2),
        (r"=>\s*[{(\w]", 1),
    ),
    "go": (
        (r"^package \w+[ \t]*$", 4),
        (r"^func (\(\w+ \*?\w+\) )?\w+\(", 4),
        (r"\b\w+(, \w+)? := ", 2),
        (r"^type \w+ (struct|interface) \{", 4),
        (r"\bif err != nil\b|\bfmt\.\w+\(|\bchan \w+|\bgo func\(", 3),
    ),
    "rust": (
        (r"^[ \t]*(pub(\(\w+\))? )?(async )?fn \w+(<.*>)?\(", 4),
        (r"\blet mut \w+|\bimpl\b.{0,120}\{|^[ \t]*use \w+(::\w+)+", 3),
        (r"\b(Option|Result|Vec|Box|Arc)<|&mut |&'\w+ |\b\w+!\(", 2),
        (r"^[ \t]*#\[\w+.*\]|^[ \t]*match \w.*\{|-> \w+(<.*>)? \{", 2),
    ),
    "c": (
        (r"^[ \t]*#include[ \t]*<(std\w+|string|math|errno|unistd|sys/\w+)\.h>", 4),
        (r"^[ \t]*#(define|ifdef|ifndef|endif)\b", 2),
        (r"^(static )?(int|void|char|float|double|size_t|unsigned|struct \w+)\s+\*?\w+\([^)\n]*\) ?\{?[ \t]*$", 2),
        (r"\b(malloc|free|printf|sizeof) ?\(", 2),
        (r"\b\w+->\w+|\bNULL\b|\bstruct \w+ ?\{", 1),
    ),
    "cpp": (
        (r"^[ \t]*#include[ \t]*<(iostream|vector|string|map|memory|algorithm|utility|unordered_map)>", 5),
        (r"\bstd::\w+|\btemplate ?<|\bnamespace \w+|\busing namespace\b", 4),
        (r"\b(class|struct) \w+ ?(: ?public \w+)? ?\{", 2),
        (r"\b(cout|cin|cerr) ?(<<|>>)|\bnullptr\b|\bauto&? \w+|::\w+\(", 2),
    ),
    "java": (
        (r"^[ \t]*(public|private|protected) (static |final |abstract )*(class|interface|enum|record) \w+", 5),
        (r"^[ \t]*import (static )?(java|javax|org|com)\.[\w.]+;", 4),
        (r"\bSystem\.out\.print|\bpublic static void main\b|@Override\b", 4),
        (r"^[ \t]*(public|private|protected) (static |final )*[\w<>\[\]]+ \w+\(", 3),
    ),
    "shell": (
        (r"^#!.*\b(ba|z|k)?sh\b", 6),
        (r"^[ \t]*(if \[\[? .*|for \w+ in .*); ?(then|do)[ \t]*$", 3),
        (r"^[ \t]*(fi|done|esac)[ \t]*$|\$\{\w+[:\-#%}]|\$\(\w+", 2),
        (r"^[ \t]*(set -[eux]+|export \w+=|echo \"?\$)", 2),
    ),
}
_COMPILED = {
    language: tuple((re.compile(pattern, re.MULTILINE), weight) for pattern, weight in features)
    for language, features in _FEATURES.items()
}
KNOWN = frozenset(_COMPILED) | frozenset(_OTHERS)
_FENCE = re.compile(r"^```([A-Za-z+#0-9]+)\s*$", re.MULTILINE)
_SHEBANG = re.compile(r"\A#!.*\b(python|node|bash|sh|zsh)")
_MOST = 5  # hits of one feature that count
_LEAST = 2


def normalize(name: str) -> str:
    """The name that routing uses for what a person wrote."""
    lowered = name.strip().lower()
    return ALIASES.get(lowered, lowered)


def known(name: str) -> str:
    """The name that routing uses. Raises UnprocessableRequest where it is no language's."""
    language = normalize(name)
    if language not in KNOWN:
        near = difflib.get_close_matches(language, [*KNOWN, *ALIASES], n=1, cutoff=0.6)
        hint = f"; did you mean {normalize(near[0])}?" if near else "; leave it out, and it is detected."
        raise UnprocessableRequest(f"There is no language {name!r} here{hint}", param="language")
    return language


def detect(text: str) -> str | None:
    """The language of `text`, or None. A fence or a `#!` line says it; else the highest count of features wins."""
    window = text[:_WINDOW]
    for pattern in (_SHEBANG, _FENCE):
        said = pattern.search(window)
        if said and normalize(said.group(1)) in _COMPILED:
            return normalize(said.group(1))
    scores = {
        language: sum(min(len(pattern.findall(window)), _MOST) * weight for pattern, weight in features)
        for language, features in _COMPILED.items()
    }
    best = max(scores, key=lambda language: scores[language])
    return best if scores[best] >= _LEAST else None
