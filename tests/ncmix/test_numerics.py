"""What a process does with its memory and its cores before it trains, and what it says where there is no GPU."""

import json
import os
import resource
import subprocess
import sys

import pytest
import torch

from ncmix import numerics

_FREED = """
import json, resource, torch
from ncmix.numerics import prepare_process

def step():
    kept = [torch.ones(10 << 20) for _ in range(4)]  # as a step keeps what its backward pass needs

prepare_process()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    step()
print(json.dumps([resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before, torch.get_num_threads()]))
"""


@pytest.mark.parametrize(
    ("asked", "threads"), [({}, max(1, len(os.sched_getaffinity(0)) - 1)), ({"OMP_NUM_THREADS": "2"}, 2)]
)
def test_freed_memory_is_used_again_and_a_core_stays_free(asked, threads):
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"} | asked
    done = subprocess.run([sys.executable, "-c", _FREED], env=environment, check=True, capture_output=True, text=True)
    faults, used = json.loads(done.stdout)
    # A page fault a page in the first steps, until what is freed fits what is asked for; without it in all twenty.
    assert faults < 8 * (160 << 20) / resource.getpagesize()
    assert used == threads


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (
            "The driver on your system is too old (found version 11040). Please update it from the URL: http://…",
            "The driver on your system is too old (found version 11040)",
        ),
        (
            "Unexpected error from cudaGetDeviceCount(). Did you set it? Error 802: system not yet initialized",
            "Unexpected error from cudaGetDeviceCount(). Did you set it? Error 802: system not yet initialized",
        ),
        ("No CUDA GPUs are available", "No CUDA GPUs are available"),
        ("", "RuntimeError"),
    ],
)
def test_why_there_is_no_gpu_is_what_pytorch_says_less_its_links(monkeypatch, said, why):
    def init():
        raise RuntimeError(said)

    monkeypatch.setattr(torch.cuda, "init", init)
    assert numerics.why_no_gpu() == why
