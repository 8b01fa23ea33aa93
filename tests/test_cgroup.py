import pytest

from proxy.cgroup import memory_groups, memory_share

GIB = 1 << 30


@pytest.fixture
def system(tmp_path):
    """A tree of control groups: `system(proc, {folder: {file: content}})` returns the groups found in it."""

    def build(proc, folders):
        (tmp_path / "proc").write_text(proc)
        for folder, files in folders.items():
            (tmp_path / "cgroup" / folder).mkdir(parents=True, exist_ok=True)
            for name, content in files.items():
                (tmp_path / "cgroup" / folder / name).write_text(f"{content}\n")
        return memory_groups(tmp_path / "proc", tmp_path / "cgroup")

    return build


def version_2(used, limit, cache=0):
    stat = f"anon 1\ninactive_anon 7\ninactive_file {cache}"
    return {"memory.current": used, "memory.max": limit, "memory.stat": stat}


def version_1(used, limit, cache=0):
    stat = f"inactive_file 1\ntotal_inactive_file {cache}"
    return {"memory.usage_in_bytes": used, "memory.limit_in_bytes": limit, "memory.stat": stat}


def test_a_container_sees_its_own_group_at_the_root(system):
    assert memory_share(system("0::/\n", {"": version_2(GIB // 2, GIB)})) == 0.5


def test_version_1_counts_in_files_of_other_names(system):
    proc = "5:cpu,cpuacct:/x\n4:memory:/docker/abc\n"

    assert memory_share(system(proc, {"memory/docker/abc": version_1(3 * GIB, 4 * GIB)})) == 0.75


def test_where_the_path_is_not_visible_the_groups_around_it_are_read(system):
    assert memory_share(system("4:memory:/docker/abc\n", {"memory": version_1(GIB, 4 * GIB)})) == 0.25


def test_page_cache_that_can_go_is_not_counted(system):
    assert memory_share(system("0::/\n", {"": version_2(GIB, GIB, cache=GIB // 2)})) == 0.5
    assert memory_share(system("4:memory:/\n", {"memory": version_1(GIB, GIB, cache=GIB // 4)})) == 0.75


def test_the_fullest_of_all_groups_around_the_process_counts(system):
    folders = {"a/b": version_2(GIB, "max"), "a": version_2(9 * GIB, 10 * GIB), "": version_2(GIB, 100 * GIB)}

    assert memory_share(system("0::/a/b\n", folders)) == 0.9


@pytest.mark.parametrize("limit", ["max", 9223372036854771712])
def test_a_group_without_a_limit_is_never_full(system, limit):
    assert memory_share(system("0::/\n", {"": version_2(GIB, limit)})) == 0


def test_a_limit_that_is_set_later_is_seen(system, tmp_path):
    groups = system("0::/\n", {"": version_2(GIB, "max")})
    (tmp_path / "cgroup" / "memory.max").write_text(f"{2 * GIB}\n")

    assert memory_share(groups) == 0.5


def test_a_system_without_control_groups_has_none(system, tmp_path):
    assert memory_groups(tmp_path / "nowhere") == ()
    assert system("0::/\n", {}) == ()
    assert memory_share(()) == 0


def test_files_that_vanish_are_no_use_and_no_error(system, tmp_path):
    groups = system("0::/\n", {"": version_2(GIB, GIB)})
    (tmp_path / "cgroup" / "memory.current").unlink()

    assert memory_share(groups) == 0


def test_a_path_that_climbs_stays_below_the_mount(system):
    assert memory_share(system("0::/../../other\n", {"other": version_2(GIB, GIB)})) == 1


def test_the_groups_of_this_machine_can_be_read():
    assert 0 <= memory_share(memory_groups()) <= 1.5
