"""`python -m cerebrum_inference.gguf.child`: one job as a line on stdin, one answer as a line on stdout.

Everything that reads files of the system, imports and llama.cpp's backends, comes before the process is confined;
what touches the model's file comes after. A job that ends in an exception nobody foresaw ends with a traceback on
stderr and status 1, which the parent reports.
"""

from __future__ import annotations

import json
import mmap
import os
import sys
from dataclasses import asdict
from typing import Any

from cerebrum_inference.gguf.header import Header, read_header
from cerebrum_inference.gguf.sandbox import confine
from cerebrum_inference.llama import trial as llama_trial
from cerebrum_inference.modelfile import ModelFileError


def main() -> None:
    job = json.loads(sys.stdin.readline())
    answers = os.dup(1)
    os.dup2(2, 1)  # what a library prints is no answer
    if job["do"] != "header":
        llama_trial.prepare()
    model = int(job["model"])
    layers = confine(model, size=os.fstat(model).st_size, cpu_seconds=job["cpu_seconds"], parent=job["parent"])
    try:
        answer = _work(job, model)
    except (ModelFileError, llama_trial.TrialError) as exc:
        answer = {"refused": str(exc)}
    os.write(answers, json.dumps({**answer, "layers": layers}).encode() + b"\n")
    os._exit(0)  # what llama.cpp does at exit is of no interest, and after a hostile file not to be trusted


def _work(job: dict[str, Any], model: int) -> dict[str, Any]:
    path = f"/proc/self/fd/{model}"
    if job["do"] == "header":
        return {"header": asdict(_header(model))}
    if job["do"] == "inspect":
        header = _header(model)
        llama_trial.try_file(path, header.vocab_size)
        return {"header": asdict(header)}
    if job["do"] == "greedy":
        found = llama_trial.greedy(path, job["prompt"], job["count"])
        return {"tokens": found.tokens, "margins": found.margins, "system_info": llama_trial.system_info()}
    raise ValueError(f"unknown job {job['do']!r}")


def _header(model: int) -> Header:
    size = os.fstat(model).st_size
    if not size:
        raise ModelFileError("the file is empty")
    with mmap.mmap(model, 0, prot=mmap.PROT_READ) as data:
        return read_header(data, size)


if __name__ == "__main__":
    main()
