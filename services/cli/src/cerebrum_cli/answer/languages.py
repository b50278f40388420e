"""What the highlighter knows of each language: words, comments, strings; and which language a text or a file is in.

A wrong guess costs a colour and nothing else, so the tables are small: they hold what catches the eye.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# What people write behind a fence or after `:lang`, and the name used here.
_ALIASES = {
    "py": "python",
    "python3": "python",
    "js": "javascript",
    "jsx": "javascript",
    "mjs": "javascript",
    "node": "javascript",
    "ts": "typescript",
    "tsx": "typescript",
    "golang": "go",
    "rs": "rust",
    "h": "c",
    "c++": "cpp",
    "cc": "cpp",
    "cxx": "cpp",
    "hpp": "cpp",
    "sh": "shell",
    "bash": "shell",
    "zsh": "shell",
    "yml": "yaml",
    "rb": "ruby",
}


@dataclass(frozen=True, slots=True)
class Quote:
    """A kind of string.

    Attributes:
        mark: what opens and closes it.
        lines: whether it may go over several lines; one that may not ends with its line, closed or not.
        escapes: whether a backslash takes the next character with it.
    """

    mark: str
    lines: bool = False
    escapes: bool = True


@dataclass(frozen=True, slots=True)
class Syntax:
    """A language for the eye.

    Attributes:
        definers: keywords after which the next word is the name of what is defined.
        comments: what starts a comment that ends with its line.
        blocks: what opens and what closes a comment over lines.
        spaced_comments: a comment starts only at a line's start or after a space (`$#` is none in a shell).
    """

    keywords: frozenset[str]
    constants: frozenset[str] = frozenset()
    definers: frozenset[str] = frozenset()
    comments: tuple[str, ...] = ("//",)
    blocks: tuple[tuple[str, str], ...] = ()
    quotes: tuple[Quote, ...] = (Quote('"'), Quote("'"))
    spaced_comments: bool = False


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_C_BLOCK = (("/*", "*/"),)
_C_WORDS = (
    "auto break case char const continue default do double else enum extern float for goto if inline int long "
    "register return short signed sizeof static struct switch typedef union unsigned void volatile while"
)
_JS_WORDS = (
    "as async await break case catch class const continue debugger default delete do else export extends finally "
    "for from function if import in instanceof let new of return static super switch this throw try typeof var "
    "void while with yield"
)
_JS_CONSTANTS = _words("true false null undefined NaN Infinity")
_JS_QUOTES = (Quote('"'), Quote("'"), Quote("`", lines=True))

SYNTAXES: dict[str, Syntax] = {
    "python": Syntax(
        _words(
            "and as assert async await break case class continue def del elif else except finally for from global "
            "if import in is lambda match nonlocal not or pass raise return try while with yield"
        ),
        _words("None True False self cls"),
        _words("def class"),
        comments=("#",),
        quotes=(Quote('"""', lines=True), Quote("'''", lines=True), Quote('"'), Quote("'")),
    ),
    "javascript": Syntax(
        _words(_JS_WORDS), _JS_CONSTANTS, _words("function class"), blocks=_C_BLOCK, quotes=_JS_QUOTES
    ),
    "typescript": Syntax(
        _words(
            _JS_WORDS + " abstract any boolean declare enum implements interface keyof namespace never number private "
            "protected public readonly string type unknown"
        ),
        _JS_CONSTANTS,
        _words("function class interface enum type"),
        blocks=_C_BLOCK,
        quotes=_JS_QUOTES,
    ),
    "go": Syntax(
        _words(
            "break case chan const continue default defer else fallthrough for func go goto if import interface map "
            "package range return select struct switch type var bool byte error float64 int int64 rune string uint"
        ),
        _words("true false nil iota"),
        _words("func type"),
        blocks=_C_BLOCK,
        quotes=(Quote('"'), Quote("'"), Quote("`", lines=True, escapes=False)),
    ),
    # `'` stays out: a lifetime has only one.
    "rust": Syntax(
        _words(
            "as async await break const continue crate dyn else enum extern fn for if impl in let loop match mod move "
            "mut pub ref return static struct super trait type unsafe use where while bool char f64 i32 i64 str String "
            "u8 u32 u64 usize Vec Option Result"
        ),
        _words("true false None Some Ok Err self Self"),
        _words("fn struct enum trait mod"),
        blocks=_C_BLOCK,
        quotes=(Quote('"', lines=True),),
    ),
    "c": Syntax(_words(_C_WORDS), _words("NULL true false"), _words("struct enum union"), blocks=_C_BLOCK),
    "cpp": Syntax(
        _words(
            _C_WORDS + " bool catch class constexpr delete explicit friend namespace new noexcept operator override "
            "private protected public template this throw try typename using virtual"
        ),
        _words("nullptr true false NULL"),
        _words("class struct enum namespace"),
        blocks=_C_BLOCK,
    ),
    "java": Syntax(
        _words(
            "abstract boolean break byte case catch char class continue default do double else enum extends final "
            "finally float for if implements import instanceof int interface long new package private protected "
            "public record return short static super switch synchronized this throw throws try void while"
        ),
        _words("true false null"),
        _words("class interface enum record"),
        blocks=_C_BLOCK,
    ),
    "shell": Syntax(
        _words(
            "case do done elif else esac exit export fi for function if in local readonly return set shift then trap "
            "until while"
        ),
        _words("true false"),
        _words("function"),
        comments=("#",),
        quotes=(Quote('"', lines=True), Quote("'", lines=True, escapes=False)),
        spaced_comments=True,
    ),
    "ruby": Syntax(
        _words(
            "begin break case class def do else elsif end ensure for if in module next require rescue return super "
            "then unless until when while yield"
        ),
        _words("nil true false self"),
        _words("def class module"),
        comments=("#",),
    ),
    "sql": Syntax(
        _words(
            "select from where join left right inner outer on group by order having limit insert into values update "
            "set delete create table index primary key references as and or not in exists distinct union"
        )
        | _words(
            "SELECT FROM WHERE JOIN LEFT RIGHT INNER OUTER ON GROUP BY ORDER HAVING LIMIT INSERT INTO VALUES UPDATE "
            "SET DELETE CREATE TABLE INDEX PRIMARY KEY REFERENCES AS AND OR NOT IN EXISTS DISTINCT UNION"
        ),
        _words("null true false NULL TRUE FALSE"),
        comments=("--",),
        blocks=_C_BLOCK,
    ),
    "json": Syntax(frozenset(), _words("true false null"), comments=(), quotes=(Quote('"'),)),
    "yaml": Syntax(frozenset(), _words("true false null yes no"), comments=("#",), spaced_comments=True),
    "toml": Syntax(frozenset(), _words("true false"), comments=("#",)),
}

# Each looks at a line's start; the first language with a hit is it.
_CUES: tuple[tuple[str, str], ...] = (
    ("rust", r"(pub(\(\w+\))? )?(async )?fn \w+|use \w+::|impl\b.*\{$|#\[\w+"),
    ("go", r"package \w+$|func (\(\w+ \*?[\w.]+\) )?\w+\(|type \w+ (struct|interface)\b"),
    ("cpp", r"#include <(iostream|vector|string|map|memory|algorithm)>|template ?<|using namespace |namespace \w+"),
    ("c", r"#(include|define|ifdef|ifndef)\b|(static )?(int|void|char|float|double|size_t) \**\w+\("),
    ("java", r"(public|private|protected) (static |final |abstract )*(class|interface|enum|record|\w+ \w+\()"),
    ("typescript", r"(export )?(interface|type) \w+.*[{=]$|(export )?(const|let|function) .*: (string|number|boolean)"),
    ("javascript", r"(export )?(async )?function\b ?\*? ?\w*\(|(const|let|var) [\w{\[].*=|import .* from ['\"]"),
    ("python", r"(async )?def \w+\(|class \w+(\(.*\))?:$|from [\w.]+ import |import [\w.]+( as \w+)?$|if __name__"),
    ("shell", r"#!.*\b(ba|z)?sh$|(if|while) \[\[? .*; (then|do)$|for \w+ in .*; do$|set -[eux]+"),
    ("sql", r"SELECT .+|CREATE TABLE |select .+ from "),
)
_COMPILED = tuple((name, re.compile(rf"^[ \t]*(?:{cue})", re.MULTILINE)) for name, cue in _CUES)
_COMMENT = re.compile(r"\s*(#(?!!|\w)|//|/\*|\*|--)")
_PROSE = re.compile(r"[^(){}\[\]=;<>\"@#]*|\S+( \S+){4,}[.:?!]")
_WINDOW = 4_000  # characters that are looked at


def normalize(name: str) -> str:
    lowered = name.strip().lower()
    return _ALIASES.get(lowered, lowered)


def syntax_of(name: str | None) -> Syntax | None:
    """How `name` is coloured; None for what is not known, and then it is not."""
    return SYNTAXES.get(normalize(name)) if name else None


def is_code(text: str) -> bool:
    """Whether a prompt is code to go on with, and not words about some: by its first line that is no comment."""
    for line in text[:_WINDOW].splitlines():
        if line.strip() and not _COMMENT.match(line):
            return guess(line) is not None or not _PROSE.fullmatch(line.strip())
    return False


def guess(text: str) -> str | None:
    """The language of code, by how its lines begin; None for prose. Only colours hang on it."""
    window = text[:_WINDOW]
    return next((name for name, cue in _COMPILED if cue.search(window)), None)


def language_of_file(name: str) -> str | None:
    """The language that a file's name tells."""
    suffix = normalize(name.rpartition(".")[2]) if "." in name else ""
    return suffix if suffix in SYNTAXES else None
