"""Files are tried by real llama.cpp in a real child; whatever happens to that child is an error and nothing else."""

from __future__ import annotations

import errno
import json
import math
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cerebrum_inference.gguf import inspection
from cerebrum_inference.gguf.header import read_header
from cerebrum_inference.gguf.inspection import GOLDEN, WheelUnusable, inspect_file, self_check
from cerebrum_inference.gguf.process import Outcome, run_child
from cerebrum_inference.gguf.syscall_filter import filter_program
from cerebrum_inference.modelfile import ModelFileError
from cerebrum_kit.errors import ConfigurationError
from support.gguf_file import ARRAY, BOOL, F32, I32, TEXT, U32, GgufFile, Tensor, llama_file
from support.waiting import eventually

TIMEOUT = 60.0


def child(code: str) -> tuple[str, ...]:
    """A command that runs `code` in the place of the real child."""
    return (sys.executable, "-I", "-B", "-c", code)


def run(code: str, model: Path, *, timeout: float = TIMEOUT, **job: object) -> Outcome:
    descriptor = os.open(model, os.O_RDONLY)
    try:
        line = json.dumps({"model": descriptor, "parent": os.getpid(), **job}).encode() + b"\n"
        return run_child(line, inherit=descriptor, timeout=timeout, command=child(code))
    finally:
        os.close(descriptor)


# --- files


def test_shipped_model_is_inspected(shipped_model: Path) -> None:
    data = shipped_model.read_bytes()
    assert inspect_file(shipped_model, timeout=TIMEOUT) == read_header(data, len(data))


def test_a_written_model_loads(tmp_path: Path) -> None:
    """What the tests below damage is a good file to begin with."""
    assert inspect_file(llama_file().write(tmp_path / "m.gguf"), timeout=TIMEOUT).vocab_size == 260


Change = Callable[[GgufFile], object]


def key(name: str, *entry: object) -> Change:
    return lambda file: file.metadata.update({name: entry})


def tensor(name: str, *given: Any, **more: Any) -> Change:
    return lambda file: file.tensors.update({name: Tensor(*given, **more)})


def retyped(name: str, number: int) -> Change:
    return lambda file: file.tensors.update({name: Tensor(file.tensors[name].shape, number)})


I8, F64, Q8_K = 24, 28, 15
WIDE: dict[str, Any] = {"embedding": 256, "feed_forward": 256, "heads": 4}

# Every one passes the check of the header, and ends the process that gives it to llama.cpp.
DEADLY: dict[str, tuple[Change, str]] = {
    "rope of an unknown kind": (key("llama.rope.scaling.type", TEXT, "spiral"), "SIGABRT.*rope_scaling_type_train"),
    "tokens twice": (key("tokenizer.ggml.tokens", ARRAY, TEXT, ["a"] * 260), "SIGABRT.*token_to_id"),
    "experts that never work": (key("llama.expert_count", U32, 8), "SIGABRT.*n_expert_used_max > 0"),
    "more experts at work than exist": (key("llama.expert_used_count", U32, 3), "SIGABRT.*n_expert_used_max <="),
    "groups of no experts": (key("llama.expert_group_count", U32, 3), "SIGABRT.*n_expert_groups"),
    "more layers to predict than there are": (key("llama.nextn_predict_layers", U32, 5), "SIGABRT.*n_layer_nextn"),
    "epsilon that is no number": (key("llama.attention.layer_norm_rms_epsilon", F32, math.nan), "SIGABRT.*eps >= 0"),
    "epsilon below zero": (key("llama.attention.layer_norm_rms_epsilon", F32, -1.0), "SIGABRT.*eps >= 0"),
    "embedding of whole numbers": (retyped("token_embd.weight", I8), "SIGABRT.*fatal error"),
    "embedding of doubles": (retyped("token_embd.weight", F64), "SIGABRT.*fatal error"),
    "norm of halves": (retyped("output_norm.weight", 1), "SIGABRT.*unsupported types"),
    "norm of blocks": (retyped("blk.0.attn_norm.weight", 8), "SIGABRT.*unsupported types"),
    "weights of whole numbers": (retyped("blk.0.attn_q.weight", I8), r"crashed on it \(SIGSEGV\)"),
    "weights of doubles": (retyped("blk.0.attn_q.weight", F64), r"crashed on it \(SIGSEGV\)"),
    "weights of intermediate blocks": (retyped("blk.0.attn_q.weight", Q8_K), r"crashed on it \(SIGSEGV\)"),
}


@pytest.mark.parametrize("case", DEADLY)
def test_file_that_ends_llama_cpp_ends_only_the_child(case: str, tmp_path: Path) -> None:
    change, message = DEADLY[case]
    file = llama_file(**WIDE)
    change(file)
    data = file.build()
    read_header(data, len(data))
    with pytest.raises(ModelFileError, match=message) as caught:
        inspect_file(file.write(tmp_path / "m.gguf"), timeout=TIMEOUT)
    assert str(caught.value).startswith("m.gguf: llama.cpp ")
    assert str(caught.value).isprintable()


NAN = struct.pack("<f", math.nan) * 1024
REFUSED: dict[str, tuple[Change, str]] = {
    "damaged header": (key("llama.block_count", U32, 0), "block_count is 0; 1 to 512 make sense"),
    "unknown architecture": (
        lambda file: file.metadata.update(
            {name.replace("llama.", "nope."): entry for name, entry in file.metadata.items()}
            | {"general.architecture": (TEXT, "nope")}
        ),
        "unknown model architecture: 'nope'",
    ),
    "unknown tokenizer": (key("tokenizer.ggml.model", TEXT, "x"), "unknown tokenizer: 'x'"),
    "no tokenizer": (key("tokenizer.ggml.model", TEXT, "none"), "does not load the file"),
    "unknown splitting": (key("tokenizer.ggml.pre", TEXT, "x"), "unknown pre-tokenizer type: 'x'"),
    "hostile character map": (
        lambda file: file.metadata.update(
            {
                "tokenizer.ggml.model": (TEXT, "t5"),
                "tokenizer.ggml.scores": (ARRAY, F32, [0.0] * 260),
                "tokenizer.ggml.precompiled_charsmap": (ARRAY, 0, [8, 0, 0, 0] + [255] * 64),
            }
        ),
        "Index out of array bounds",
    ),
    "token of a wrong type": (key("tokenizer.ggml.bos_token_id", TEXT, "x"), "bos_token_id has wrong type"),
    "tensor missing": (lambda file: file.tensors.pop("blk.0.attn_q.weight"), "'blk.0.attn_q.weight' not found"),
    "tensor of another shape": (tensor("blk.0.attn_q.weight", (32, 64)), "'blk.0.attn_q.weight' has wrong shape"),
    "tensor too many": (tensor("surplus", (32,)), "wrong number of tensors"),
    "weights that are no numbers": (
        tensor("blk.0.attn_q.weight", (32, 32), data=NAN),
        "260 of 260 computed values",
    ),
    "results that are no numbers": (key("llama.rope.freq_base", F32, math.nan), "260 of 260 computed values"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_the_child_refuses_is_told(case: str, tmp_path: Path) -> None:
    change, message = REFUSED[case]
    file = llama_file()
    change(file)
    with pytest.raises(ModelFileError, match=message):
        inspect_file(file.write(tmp_path / "m.gguf"), timeout=TIMEOUT)


def test_number_of_tensors_does_not_matter(tmp_path: Path) -> None:
    path = llama_file(layers=60).write(tmp_path / "m.gguf")
    assert inspect_file(path, timeout=TIMEOUT).tensor_count == 542


def test_odd_but_harmless_files_are_taken(tmp_path: Path) -> None:
    file = llama_file()
    file.metadata |= {
        "tokenizer.ggml.merges": (ARRAY, TEXT, ["", " ", "ab", b"\xff\xff", "a b"] * 50),
        "tokenizer.ggml.token_type": (ARRAY, I32, [-77] * 260),
        "tokenizer.ggml.bos_token_id": (U32, 4_000_000_000),
        "tokenizer.ggml.add_bos_token": (BOOL, True),
        "tokenizer.chat_template": (TEXT, "{% for"),
    }
    assert inspect_file(file.write(tmp_path / "m.gguf"), timeout=TIMEOUT).has_chat_template


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "m.gguf: the file is empty"),
        (b"just some text\n", "m.gguf: the file is not GGUF: it begins with 'just'"),
        (b"PK\x03\x04" + bytes(100), "a zip archive"),
        (struct.pack("<Q", 60) + b'{"a": {}}', "a safetensors file"),
    ],
)
def test_mislabelled_file_is_named(data: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(data)
    with pytest.raises(ModelFileError, match=message):
        inspect_file(path, timeout=TIMEOUT)


def test_what_is_no_plain_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.gguf")
    for name, message in (("none", "No such file"), ("pipe.gguf", "is no plain file"), ("", "is no plain file")):
        with pytest.raises(ModelFileError, match=message):
            inspect_file(tmp_path / name, timeout=TIMEOUT)


# --- the self-check


def test_self_check() -> None:
    found = self_check(timeout=TIMEOUT)
    assert found.tokens == GOLDEN
    assert min(found.margins) > 1.0  # so far apart, no CPU's rounding changes the order
    assert len(found.margins) == len(GOLDEN)
    assert "CPU" in found.system_info
    assert set(found.layers) >= {"parent_death", "no_new_privs", "limits", "seccomp"}


def answer(**given: object) -> str:
    return f"print({json.dumps({'layers': [], **given})!r})"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (answer(tokens=[1, 2, 3]), r"computes wrongly .* generates \[1, 2, 3\] .* build it again on this machine"),
        (answer(refused="no"), "fails its self-check: cerebrum-tiny.gguf: no$"),
        (
            "import os; os.kill(os.getpid(), 4)",
            "was built for another CPU .* build it again on this machine: .*wheel.sh",
        ),
        ("import os; os.abort()", "aborted on it .* build it again on this machine"),
    ],
)
def test_wheel_that_does_not_work_says_what_to_do(code: str, message: str) -> None:
    with pytest.raises(WheelUnusable, match=message) as caught:
        self_check(timeout=TIMEOUT, command=child(code))
    assert isinstance(caught.value, ConfigurationError)
    assert str(caught.value).count("build it again") <= 1


def test_missing_shipped_model_is_not_blamed_on_the_wheel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(inspection, "shipped_manifest", lambda: tmp_path / "manifest.yml")
    with pytest.raises(WheelUnusable, match=r"cerebrum-tiny.gguf: No such file or directory$"):
        self_check(timeout=TIMEOUT)


# --- what a child can do to its parent

ILLEGAL = """
import ctypes, mmap, platform
code = {"x86_64": b"\\x0f\\x0b", "aarch64": b"\\x00\\x00\\x00\\x00"}[platform.machine()]
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(code)
ctypes.CFUNCTYPE(None)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
"""


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (ILLEGAL, r"was built for another CPU \(SIGILL\)"),
        ("import os; os.kill(os.getpid(), 9)", r"was killed \(SIGKILL\)"),
        ("import os; os.kill(os.getpid(), 7)", r"became shorter while it was read.*\(SIGBUS\)"),
        ("import os; os.kill(os.getpid(), 31)", r"a system call that .* \(SIGSYS\)"),
        ("import os; os.kill(os.getpid(), 15)", "was ended by SIGTERM"),
        ("import os; os.kill(os.getpid(), 40)", r"was killed \(SIGKILL\)"),
        ("raise RuntimeError('what\\x07ever')", r"failed with status 1: RuntimeError: what\?ever"),
        ("import sys, os; sys.stderr.write('std::bad_alloc'); sys.stderr.flush(); os.abort()", "takes more memory"),
        ("", "gave no proper answer"),
        ("print('[1, 2]')", "gave no proper answer"),
        (answer(surprise=1), "gave no proper answer"),
        (answer(header={"layers": "many"}), "gave no proper answer"),
        (answer(), "gave no answer"),
        ("while True: print('x' * 65536)", "answer has no end"),
    ],
)
def test_end_of_a_child_is_named(code: str, message: str, shipped_model: Path) -> None:
    with pytest.raises(ModelFileError, match=message):
        inspect_file(shipped_model, timeout=TIMEOUT, command=child(code))


@pytest.mark.parametrize(
    "code",
    [
        "import time; time.sleep(60)",
        "while True: pass",
        "import os, time; os.close(1); os.close(2); time.sleep(60)",
        "import os, time; os.fork() or time.sleep(60)",
        "import signal, time; [signal.signal(one, signal.SIG_IGN) for one in (2, 15)]; time.sleep(60)",
        "import sys\nwhile True: sys.stderr.write('x' * 65536)",
    ],
    ids=["sleeps", "computes", "closes its pipes", "forks", "ignores signals", "floods stderr"],
)
def test_child_without_end_is_ended(code: str, shipped_model: Path) -> None:
    started = time.monotonic()
    with pytest.raises(ModelFileError, match=r"llama.cpp was not done with it after 0.5 s"):
        inspect_file(shipped_model, timeout=0.5, command=child(code))
    assert time.monotonic() - started < 5


def state(pid: str) -> str:
    """How a process is, as the kernel writes it; "gone" for none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return "gone"


def test_children_of_a_child_are_ended_too(shipped_model: Path, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    code = f"""
import os, time
if not os.fork():
    open({str(note)!r}, "w").write(str(os.getpid()))
    time.sleep(60)
"""
    assert run(code, shipped_model, timeout=1.0).expired
    eventually(lambda: state(note.read_text()) in {"gone", "Z"}, "the child's child is gone")


PATCHED = """
import os
from cerebrum_inference.llama import trial as llama_trial
from cerebrum_inference.gguf import child
prepare = llama_trial.prepare
def noisy():
    os.write(1, b"what a library prints")
    prepare()
def greedy(data, size):
    raise MemoryError
"""


def test_what_a_library_prints_is_no_answer(shipped_model: Path) -> None:
    code = PATCHED + "llama_trial.prepare = noisy\nchild.main()"
    assert inspect_file(shipped_model, timeout=TIMEOUT, command=child(code)).layers == 6


def test_lack_of_memory_is_named(shipped_model: Path) -> None:
    code = PATCHED + "child.read_header = greedy\nchild.main()"
    with pytest.raises(ModelFileError, match="it takes more memory than a file of its size may"):
        inspect_file(shipped_model, timeout=TIMEOUT, command=child(code))


def test_what_a_child_says_is_bounded(shipped_model: Path) -> None:
    outcome = run("import sys; sys.stderr.write('x' * 3_000_000 + 'end')", shipped_model)
    assert len(outcome.errors) <= 1 << 14
    assert outcome.errors.endswith("end")


def test_child_gets_nothing_of_the_environment(monkeypatch: pytest.MonkeyPatch, shipped_model: Path) -> None:
    monkeypatch.setenv("CEREBRUM_INFERENCE_API_KEY", "secret")
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    with (shipped_model.parent / "manifest.yml").open("rb") as other:
        os.set_inheritable(other.fileno(), True)
        code = "import json, os, sys; print(json.dumps([dict(os.environ), os.listdir('/proc/self/fd'), os.getcwd()]))"
        environment, descriptors, folder = json.loads(run(code, shipped_model).answer)
    threads = {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"}
    devices = {"CUDA_VISIBLE_DEVICES", "GGML_VK_VISIBLE_DEVICES"}
    assert set(environment) == {"LC_ALL", "GGML_NO_BACKTRACE", *threads, *devices}
    assert len(descriptors) == 5  # the standard ones, the model, and the listing itself
    assert folder == "/"


# --- the sandbox, from inside

PROBE = """
import ctypes, errno, json, os, resource, signal, socket, sys, threading
from cerebrum_inference.gguf.sandbox import confine

job = json.loads(sys.stdin.readline())
model = job["model"]
libc = ctypes.CDLL(None, use_errno=True)
read = os.O_RDONLY

def call(name, *arguments):
    if getattr(libc, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), name)

def thread():
    one = threading.Thread(target=len, args=("x",))
    one.start()
    one.join()

attempts = {
    "read the model again": lambda: os.close(os.open(f"/proc/self/fd/{model}", read)),
    "read another file": lambda: os.open("/etc/passwd", read),
    "read the interpreter": lambda: os.open(sys.executable, read),
    "list a folder": lambda: os.listdir("/"),
    "write a new file": lambda: os.open(job["folder"] + "/new", os.O_WRONLY | os.O_CREAT, 0o600),
    "write the model": lambda: os.open(f"/proc/self/fd/{model}", os.O_RDWR),
    "cut the model": lambda: os.truncate(f"/proc/self/fd/{model}", 0),
    "remove a file": lambda: os.unlink(job["folder"] + "/old"),
    "change a mode": lambda: os.fchmod(model, 0o777),
    "make a socket": lambda: socket.socket(),
    "make a local socket": lambda: socket.socket(socket.AF_UNIX),
    "make a pair": lambda: socket.socketpair(),
    "run a program": lambda: os.execv("/bin/true", ["true"]),
    "fork": lambda: os.fork() or os._exit(0),
    "signal the parent": lambda: os.kill(job["parent"], 0),
    "signal everybody": lambda: os.kill(-1, 0),
    "signal itself": lambda: os.kill(os.getpid(), 0),
    "trace": lambda: call("ptrace", 16, job["parent"], None, None),
    "read another's memory": lambda: call("process_vm_readv", job["parent"], None, 0, None, 0, 0),
    "open a process": lambda: os.pidfd_open(job["parent"]),
    "leave a namespace": lambda: call("unshare", 0x10000000),
    "mount": lambda: call("mount", b"none", b"/", b"tmpfs", 0, None),
    "make memory that runs": lambda: os.memfd_create("x"),
    "lift a limit": lambda: call("setrlimit", resource.RLIMIT_AS, b"\\xff" * 16),
    "take much memory": lambda: bytearray(4 << 30),
    "take memory": lambda: bytearray(64 << 20),
    "begin a thread": thread,
    "open many": lambda: [os.dup(model) for _ in range(40)],
}
layers = confine(model, size=os.fstat(model).st_size, cpu_seconds=20, parent=job["parent"])
found = {}
for name, attempt in attempts.items():
    try:
        attempt()
        found[name] = "done"
    except OSError as exc:
        found[name] = errno.errorcode[exc.errno]
    except MemoryError:
        found[name] = "ENOMEM"
print(json.dumps([layers, found]))
"""
READS = {"read another file", "read the interpreter", "list a folder"}
ALLOWED = {"read the model again", "signal itself", "take memory", "begin a thread"}


def test_sandbox_from_inside(shipped_model: Path, tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.write_text("x")
    outcome = run(PROBE, shipped_model, folder=str(tmp_path))
    assert outcome.status == 0, outcome.errors
    layers, found = json.loads(outcome.answer)
    assert set(layers) >= {"parent_death", "no_new_privs", "limits", "seccomp"}
    expected = dict.fromkeys(found, "EPERM") | dict.fromkeys(ALLOWED, "done")
    expected |= {"take much memory": "ENOMEM", "open many": "EMFILE"}
    expected |= dict.fromkeys(READS, "EACCES" if "landlock" in layers else "done")
    assert found == expected
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


def test_kernel_that_has_landlock_applies_it(shipped_model: Path) -> None:
    has = "import ctypes; print(ctypes.CDLL(None).syscall(444, None, 0, 1))"
    version = int(subprocess.run([sys.executable, "-c", has], capture_output=True, check=True, text=True).stdout)
    assert ("landlock" in self_check(timeout=TIMEOUT).layers) == (version > 0)


def test_layers_that_the_kernel_lacks_are_left_out(shipped_model: Path) -> None:
    code = """
import json, sys
from cerebrum_inference.gguf import sandbox
def fails(*_): raise OSError(38, "not there")
sandbox._landlock = fails
sandbox.filter_program = lambda machine, process: None
job = json.loads(sys.stdin.readline())
print(json.dumps(sandbox.confine(job["model"], size=1, cpu_seconds=5, parent=job["parent"])))
"""
    assert json.loads(run(code, shipped_model).answer) == ["parent_death", "no_new_privs", "limits"]


def test_endless_computing_ends_even_without_a_parent_that_looks(shipped_model: Path) -> None:
    code = """
import json, sys
from cerebrum_inference.gguf.sandbox import confine
job = json.loads(sys.stdin.readline())
confine(job["model"], size=1, cpu_seconds=1, parent=job["parent"])
while True: pass
"""
    outcome = run(code, shipped_model)
    assert outcome.signal is signal.SIGXCPU
    assert "computed without end" in str(inspection._failure(outcome, 1))


def test_child_dies_with_its_parent(shipped_model: Path, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    sleeper = f"""
import json, os, sys, time
from cerebrum_inference.gguf.sandbox import confine
open({str(note)!r}, "w").write(str(os.getpid()))
job = json.loads(sys.stdin.readline())
confine(job["model"], size=1, cpu_seconds=50, parent=job["parent"])
sys.stderr.close()
time.sleep(100)
"""
    parent = f"""
import json, os, sys
from cerebrum_inference.gguf.process import run_child
fd = os.open({str(shipped_model)!r}, os.O_RDONLY)
job = json.dumps({{"model": fd, "parent": os.getpid()}}).encode() + b"\\n"
run_child(job, inherit=fd, timeout=100, command=(sys.executable, "-I", "-c", {sleeper!r}))
"""

    with subprocess.Popen([sys.executable, "-c", parent]) as process:
        try:
            eventually(
                lambda: note.exists() and note.read_text() and state(note.read_text()) == "S", "the child sleeps"
            )
            time.sleep(0.3)
        finally:
            process.kill()
    eventually(lambda: state(note.read_text()) in {"gone", "Z"}, "the child is gone")


def run_filter(program: bytes, machine: int, number: int, *arguments: int) -> str:
    """What the kernel would answer."""
    words = struct.pack("<IIQ6Q", number, machine, 0, *arguments, *[0] * (6 - len(arguments)))
    instructions = list(struct.iter_unpack("=HBBI", program))
    at = value = 0
    while True:
        code, yes, no, operand = instructions[at]
        at += 1
        match code:
            case 0x20:
                (value,) = struct.unpack_from("<I", words, operand)
            case 0x54:
                value &= operand
            case 0x15:
                at += yes if value == operand else no
            case 0x35:
                at += yes if value >= operand else no
            case 0x06:
                kinds = {0x7FFF0000: "allowed", 0x80000000: "killed"}
                return kinds.get(operand) or errno.errorcode[operand & 0xFFFF]
            case _:
                raise AssertionError(f"unknown instruction {code:#x}")


ME = 4242
CALLS: list[tuple[tuple[int | None, int | None], tuple[int, ...], str]] = [
    ((0, 63), (), "allowed"),  # read
    ((9, 222), (), "allowed"),  # mmap
    ((202, 98), (), "allowed"),  # futex
    ((41, 198), (), "EPERM"),  # socket
    ((59, 221), (), "EPERM"),  # execve
    ((57, None), (), "EPERM"),  # fork
    ((56, 220), (0x3D0F00,), "allowed"),  # clone, as libc makes a thread
    ((56, 220), (0x1200011,), "EPERM"),  # clone, as libc forks
    ((435, 435), (), "ENOSYS"),  # clone3
    ((62, 129), (ME, 6), "allowed"),  # kill
    ((62, 129), (1, 9), "EPERM"),
    ((62, 129), ((1 << 64) - 1, 9), "EPERM"),
    ((234, 131), (ME, ME, 6), "allowed"),  # tgkill
    ((234, 131), (1, 1, 9), "EPERM"),
    ((257, 56), (0, 0, 0o2000000), "allowed"),  # openat, close on exec
    ((257, 56), (0, 0, 0o2), "EPERM"),
    ((257, 56), (0, 0, 0o101), "EPERM"),
    ((2, None), (0, 0o1000), "EPERM"),  # open
    ((302, 261), (0, 9, 0, 1), "allowed"),  # prlimit64
    ((302, 261), (0, 9, 0x7FFF_0000_1000, 0), "EPERM"),
]


@pytest.mark.parametrize(("machine", "audit"), [("x86_64", 0xC000003E), ("aarch64", 0xC00000B7)])
def test_filter_of_either_machine(machine: str, audit: int) -> None:
    program = filter_program(machine, ME)
    assert program is not None
    assert len(program) // 8 < 4096
    column = ["x86_64", "aarch64"].index(machine)
    for numbers, arguments, expected in CALLS:
        number = numbers[column]
        if number is not None:
            assert run_filter(program, audit, number, *arguments) == expected, (number, arguments)
    assert run_filter(program, 0x40000003, 0) == "killed"
    if machine == "x86_64":
        assert run_filter(program, audit, 0x40000000 + 41) == "killed"


def test_unknown_machine_has_no_filter() -> None:
    assert filter_program("riscv64", 1) is None
