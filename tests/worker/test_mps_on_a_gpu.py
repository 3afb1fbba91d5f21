"""NVIDIA's own daemon serves the processes of slots that share a GPU.

On a machine without the service's packages: `pytest -m gpu --noconftest` on the files that have tests marked gpu.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from worker.mps import serving
from worker.places import Place, gpus

CONTROL = "nvidia-cuda-mps-control"

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    pytest.mark.skipif(not shutil.which(CONTROL), reason="needs NVIDIA's Multi-Process Service"),
]

# Works on the GPU, says so, and stays until it is told to end.
CHILD = """
import torch
torch.ones(64, 64, device="cuda").matmul(torch.ones(64, 64, device="cuda")).sum().item()
print("ready", flush=True)
input()
"""


def test_two_processes_are_clients_of_one_server():
    two = [Place((gpus(os.environ)[0],), 0.475)] * 2
    with serving(two, os.environ) as mps:
        assert mps is not None
        environment = {**os.environ, **two[0].environment, **mps.environment(two[0])}
        children = [
            subprocess.Popen([sys.executable, "-c", CHILD], env=environment, stdin=-1, stdout=-1, text=True)
            for _ in two
        ]
        assert [child.stdout.readline() for child in children if child.stdout] == ["ready\n"] * 2
        (server,) = answer("get_server_list", environment)
        assert sorted(answer(f"get_client_list {server}", environment)) == sorted(str(c.pid) for c in children)
        for child in children:
            child.communicate("\n")
        assert [child.returncode for child in children] == [0, 0]
        folder = Path(environment["CUDA_MPS_PIPE_DIRECTORY"])
    assert not folder.exists()


def answer(command: str, environment: dict[str, str]) -> list[str]:
    """What the daemon says."""
    asked = subprocess.run([CONTROL], env=environment, input=f"{command}\n", capture_output=True, text=True, check=True)
    return asked.stdout.split()
