"""llama.cpp for a GPU: what the compiler is told, where the wheel goes, and what a host without one is told."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from support.repo import ROOT, load

ACCELERATORS = ["none", "vulkan", "cuda"]


def wheel_script(mode: str, accelerator: str, build: str = "native", script: Path | None = None, **more: str) -> str:
    done = subprocess.run(
        [str(script or ROOT / "scripts/llama_wheel.sh"), "/nonexistent", str(ROOT / "locks")],
        env={**os.environ, mode: "1", "LLAMA_ACCELERATOR": accelerator, "LLAMA_BUILD": build, **more},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() if done.returncode == 0 else done.stderr


@pytest.mark.parametrize(
    ("accelerator", "wanted"), [("none", set()), ("vulkan", {"-DGGML_VULKAN=ON"}), ("cuda", {"-DGGML_CUDA=ON"})]
)
@pytest.mark.parametrize("build", ["native", "portable"])
def test_cmake_is_told_of_one_gpu_at_most(accelerator: str, wanted: set[str], build: str) -> None:
    told = shlex.split(wheel_script("COMMAND_ONLY", accelerator, build))
    assert {word for word in told if re.match("-DGGML_(VULKAN|CUDA)", word)} == wanted
    assert ("-DGGML_NATIVE=ON" in told) == (build == "native")
    compat = f'-include "{ROOT}/scripts/vulkan_compat.hpp"'
    (flags,) = [word for word in told if word.startswith("-DCMAKE_CXX_FLAGS=")] or [""]
    assert (compat in flags) == (accelerator == "vulkan")


def test_each_kind_of_wheel_has_a_folder_of_its_own() -> None:
    folders = [wheel_script("WHERE_ONLY", one, build) for one in ACCELERATORS for build in ("native", "portable")]
    assert len(set(folders)) == len(folders)
    assert ["vulkan" in folder for folder in folders] == [False, False, True, True, False, False]
    assert wheel_script("WHERE_ONLY", "") == folders[0]  # as a checkout without the variable calls it


def test_folder_s_name_does_not_depend_on_where_the_script_is(tmp_path: Path) -> None:
    for name in ("llama_wheel.sh", "vulkan_compat.hpp"):
        (tmp_path / name).write_bytes((ROOT / "scripts" / name).read_bytes())
        (tmp_path / name).chmod(0o755)
    here, there = wheel_script("WHERE_ONLY", "vulkan"), tmp_path / "llama_wheel.sh"
    assert wheel_script("WHERE_ONLY", "vulkan", script=there) == here
    (tmp_path / "vulkan_compat.hpp").write_text("another", encoding="utf-8")
    assert wheel_script("WHERE_ONLY", "vulkan", script=there) != here


def test_an_unknown_accelerator_is_refused() -> None:
    assert "LLAMA_ACCELERATOR=metal: allowed are none, vulkan and cuda" in wheel_script("COMMAND_ONLY", "metal")


@pytest.mark.parametrize(
    ("accelerator", "missing"), [("cuda", "no CUDA compiler (nvcc)"), ("vulkan", "no Vulkan driver")]
)
def test_what_a_host_lacks_is_found(accelerator: str, missing: str, tmp_path: Path) -> None:
    """In a root of its own, that has nothing but a shell's own tools."""
    looks = load("roles/inference/vars/main.yml")["inference__looks"][accelerator]
    said = looking(looks, tmp_path)
    assert "no device" in said
    assert missing in said


@pytest.mark.parametrize("accelerator", ["cuda", "vulkan"])
def test_a_host_that_has_everything_passes(accelerator: str, tmp_path: Path) -> None:
    looks = load("roles/inference/vars/main.yml")["inference__looks"][accelerator]
    for name in ("dev/nvidiactl", "usr/share/vulkan/icd.d/some.json", "usr/local/cuda/bin/nvcc"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch(0o755)
    assert looking(looks, tmp_path) == ""


def looking(looks: str, root: Path) -> str:
    """What the look says of a host whose files are below `root`."""
    there = re.sub(r"(?<=[ :])/(dev|usr|etc)/(?!null)", rf"{root}/\1/", looks)
    assert str(root) in there
    return subprocess.run(["sh", "-c", there], capture_output=True, text=True, check=False).stdout
