"""Free memory as a container sees it: `memory.available(root)` reads proc and sys of a made-up machine."""

import pytest

from ncmix import memory

GB = 10**9


@pytest.fixture
def machine(tmp_path):
    """A machine with 64 GB available; returns how files are written on it."""

    def write(path, text):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)

    write("proc/meminfo", f"MemTotal: 99999999 kB\nMemFree: 1 kB\nMemAvailable: {64 * GB // 1024} kB\n")
    return write


def available(tmp_path):
    return pytest.approx(memory.available(tmp_path), abs=1024)


def group2(machine, path, limit, used, cached=0):
    machine(f"sys/fs/cgroup/{path}/memory.max", f"{limit}\n")
    machine(f"sys/fs/cgroup/{path}/memory.current", f"{used}\n")
    machine(f"sys/fs/cgroup/{path}/memory.stat", f"anon 1\ninactive_file {cached}\nactive_file 7\n")


def test_without_a_group_the_machine_decides(machine, tmp_path):
    assert available(tmp_path) == 64 * GB


def test_a_container_of_version_2_sees_its_limit_as_the_root(machine, tmp_path):
    machine("proc/self/cgroup", "0::/\n")
    group2(machine, "", 8 * GB, 3 * GB, cached=GB)
    assert available(tmp_path) == 6 * GB


@pytest.mark.parametrize(("inner", "outer", "left"), [(2, 9, 1), (9, 2, 1), ("max", 4, 3), ("max", "max", 64)])
def test_every_group_above_has_a_say(machine, tmp_path, inner, outer, left):
    machine("proc/self/cgroup", "0::/user.slice/job\n")
    for path, limit in (("user.slice/job", inner), ("user.slice", outer)):
        group2(machine, path, limit if limit == "max" else limit * GB, GB)
    assert available(tmp_path) == left * GB


@pytest.mark.parametrize("path", ["/", "/docker/0123456789ab"], ids=["own namespace", "the host's path"])
def test_a_container_of_version_1_sees_its_limit_at_the_root(machine, tmp_path, path):
    machine("proc/self/cgroup", f"9:cpu:/x\n4:memory:{path}\n0::/\n")
    machine("sys/fs/cgroup/memory/memory.limit_in_bytes", f"{4 * GB}\n")
    machine("sys/fs/cgroup/memory/memory.usage_in_bytes", f"{3 * GB}\n")
    machine("sys/fs/cgroup/memory/memory.stat", f"inactive_file 5\ntotal_inactive_file {GB}\n")
    assert available(tmp_path) == 2 * GB


def test_version_1_without_a_limit_says_so_by_a_huge_number(machine, tmp_path):
    machine("proc/self/cgroup", "4:hugetlb,memory:/\n")
    machine("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")
    machine("sys/fs/cgroup/memory/memory.usage_in_bytes", f"{3 * GB}\n")
    assert available(tmp_path) == 64 * GB


def test_more_used_than_allowed_leaves_nothing(machine, tmp_path):
    machine("proc/self/cgroup", "0::/\n")
    group2(machine, "", GB, 2 * GB)
    assert memory.available(tmp_path) == 0


def test_this_machine_has_some():
    assert 2**20 < memory.available() < 2**50
