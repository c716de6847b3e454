"""The embedded Redis: found, started, kept to itself, stopped with its data on disk."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis

from parley.local import data_folder, server_binaries
from parley.local.append_only_files import require_whole_files
from parley.local.embedded import EmbeddedRedis, ServerBinary, find_server, folder_of, running, running_of
from pipeline.errors import EmbeddedRedisError

SOCKET = f"redis-{os.getpid()}.sock"


def client(server: EmbeddedRedis) -> redis.Redis:
    return redis.Redis.from_url(server.url, decode_responses=True)


def test_it_has_redisjson_and_keeps_what_it_is_told(server: EmbeddedRedis) -> None:
    with client(server) as connection:
        connection.json().set("session", "$", {"messages": []})

        assert connection.json().get("session") == {"messages": []}
        assert connection.config_get("appendonly") == {"appendonly": "yes"}
        assert connection.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert connection.config_get("port") == {"port": "0"}


def listening_ports(pid: int) -> set[int]:
    """Return the TCP ports that a process listens on."""
    inodes = {link.removeprefix("socket:[")[:-1] for link in _links(pid) if link.startswith("socket:[")}
    tables = [Path(f"/proc/net/{each}").read_text("ascii").splitlines() for each in ("tcp", "tcp6")]
    rows = [line.split() for table in tables for line in table]
    return {int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == "0A" and row[9] in inodes}


def _links(pid: int) -> list[str]:
    return [os.readlink(entry.path) for entry in os.scandir(f"/proc/{pid}/fd")]


def test_only_its_owner_reaches_it_and_no_port_is_open(
    server: EmbeddedRedis,
) -> None:
    assert server.url.startswith("unix:///")
    assert server.folder.stat().st_mode & 0o777 == 0o700
    assert (server.folder / SOCKET).stat().st_mode & 0o777 == 0o700
    assert server.process is not None
    assert listening_ports(server.process.pid) == set()


def test_a_folder_that_others_could_enter_is_closed_to_them(folder: Path) -> None:
    folder.mkdir(parents=True, mode=0o755)
    with EmbeddedRedis(folder):
        assert folder.stat().st_mode & 0o777 == 0o700


def no_stranger_gets_in(server: EmbeddedRedis) -> None:
    """Check that the port of a server that has no socket asks for a password, which no argument shows."""
    assert server.process is not None
    (port,) = listening_ports(server.process.pid)
    with redis.Redis(port=port) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()
    password = urlsplit(server.url).password
    assert password is not None
    assert password.encode() not in Path(f"/proc/{server.process.pid}/cmdline").read_bytes()


def test_a_folder_that_can_hold_no_socket_is_served_by_a_port_with_a_password(folder: Path) -> None:
    (folder / SOCKET).mkdir(parents=True)
    with EmbeddedRedis(folder) as server, client(server) as connection:
        assert connection.ping()
        no_stranger_gets_in(server)


def test_a_path_too_long_for_a_socket_is_no_obstacle(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path / ("long" * 30) / "redis") as server, client(server) as connection:
        assert connection.ping()
        no_stranger_gets_in(server)


@pytest.mark.parametrize(
    ("version", "lacking"),
    [
        ("7.4.1", True),
        ("7.4.6", False),
        ("8.2.1", True),
        ("8.2.2", False),
        ("8.4.0", False),
        ("7.0.15", True),
    ],
)
def test_a_version_without_known_fixes_is_recognised(version: str, lacking: bool) -> None:
    assert server_binaries.lacks_fixes(version) is lacking


def test_redis_8_of_the_machine_goes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = find_server()
    (tmp_path / "bin").mkdir()
    newer = tmp_path / "bin" / "redis-server"
    newer.write_text("#!/bin/sh\necho Redis server v=8.2.3 sha=0\n", encoding="utf-8")
    newer.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin")
    assert find_server() == ServerBinary(newer, package.module, "8.2.3", server_binaries._MIXED)
    own = tmp_path / "lib" / "redis" / "modules" / "rejson.so"
    own.parent.mkdir(parents=True)
    own.touch()
    assert find_server().module == own


def test_data_is_kept_between_runs(folder: Path) -> None:
    with EmbeddedRedis(folder) as first, client(first) as connection:
        connection.set("name", "Ada")
    with EmbeddedRedis(folder) as second, client(second) as connection:
        assert connection.get("name") == "Ada"


def test_it_starts_again_at_its_address_after_a_kill(server: EmbeddedRedis) -> None:
    with client(server) as connection:
        connection.set("name", "Ada")
        connection.config_set("appendfsync", "always")
        connection.set("name", "Grace")
    url = server.url
    assert server.process is not None
    server.process.kill()
    server.process.wait()
    assert running(server.folder) is None

    server.spawn()

    assert server.wait_ready().url == url
    with client(server) as connection:
        assert connection.get("name") == "Grace"


def test_a_file_that_ends_in_half_a_command_still_loads(folder: Path) -> None:
    with EmbeddedRedis(folder) as first, client(first) as connection:
        connection.set("name", "Ada")
    written = next((folder / "appendonlydir").glob("*.incr.aof"))
    with written.open("ab") as file:
        file.write(b"*3\r\n$3\r\nSET\r\n$4\r\nna")

    with EmbeddedRedis(folder) as second, client(second) as connection:
        assert connection.get("name") == "Ada"


def write_and_damage(folder: Path, pattern: str, begin: bytes) -> None:
    """Fill a server's files and overwrite a part in the middle of one, from where it begins so."""
    with EmbeddedRedis(folder) as server, client(server) as connection:
        for number in range(100):
            connection.set(f"before-{number}", "x" * 50)
    written = next((folder / "appendonlydir").glob(pattern))
    content = bytearray(written.read_bytes())
    middle = content.index(begin, len(content) // 2)
    content[middle : middle + 8] = b"?" * 8
    written.write_bytes(content)


def test_the_way_out_of_a_file_that_is_damaged_in_the_middle_works(folder: Path) -> None:
    write_and_damage(folder, "*.incr.aof", b"*3")
    with pytest.raises(EmbeddedRedisError, match=r"is damaged: Bad file format .*redis-check-aof") as caught:
        EmbeddedRedis(folder).start()

    command = caught.value.ways_out[0].split("`")[1]
    subprocess.run(shlex.split(command), input=b"y\n", check=True, capture_output=True)

    with EmbeddedRedis(folder) as server, client(server) as connection:
        assert 40 <= connection.dbsize() < 100


def test_data_that_can_not_be_mended_is_reported_as_such(folder: Path) -> None:
    write_and_damage(folder, "*.base.rdb", b"")
    with pytest.raises(EmbeddedRedisError, match=r"is damaged: .*restore .* backup") as caught:
        EmbeddedRedis(folder).start()

    assert "redis-check-aof" not in str(caught.value)
    assert "overcommit" not in str(caught.value)


@pytest.mark.parametrize("damage", ["no manifest", "a manifest that lacks a file", "an unreadable manifest"])
def test_data_that_redis_would_pass_over_is_refused_and_the_way_out_works(folder: Path, damage: str) -> None:
    with EmbeddedRedis(folder) as server, client(server) as connection:
        connection.set("name", "Ada")
    manifest = folder / "appendonlydir" / "appendonly.aof.manifest"
    if damage == "no manifest":
        manifest.unlink()
    elif damage == "a manifest that lacks a file":
        manifest.write_text(manifest.read_text("utf-8").splitlines()[0] + "\n", "utf-8")
    else:
        manifest.write_bytes(b"\0" * 80)

    with pytest.raises(EmbeddedRedisError, match=r"is damaged: .*manifest") as caught:
        EmbeddedRedis(folder).start()
    subprocess.run(["/bin/sh", "-c", caught.value.ways_out[0].split("`")[1]], check=True)

    with EmbeddedRedis(folder) as server, client(server) as connection:
        assert connection.get("name") == "Ada"


def test_an_empty_base_is_refused_and_files_of_an_earlier_base_are_not(folder: Path) -> None:
    with EmbeddedRedis(folder):
        pass
    data = folder / "appendonlydir"
    require_whole_files(folder)
    (base,) = data.glob("*.base.rdb")
    base.with_name("appendonly.aof.0.base.rdb").write_bytes(b"old")
    require_whole_files(folder)

    base.write_bytes(b"")

    with pytest.raises(EmbeddedRedisError, match=r"appendonly\.aof\.1\.base\.rdb is empty"):
        require_whole_files(folder)


def test_a_second_one_on_the_same_folder_is_refused_with_the_ways_out(server: EmbeddedRedis) -> None:
    with pytest.raises(EmbeddedRedisError, match=r"another Parley uses .* ways out: .*PORT") as caught:
        EmbeddedRedis(server.folder).start()

    assert "\n" not in str(caught.value)
    assert running(server.folder) is not None


def test_two_on_different_folders_run_side_by_side(server: EmbeddedRedis, tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path / "other") as other, client(server) as one, client(other) as two:
        one.set("name", "Ada")

        assert two.get("name") is None


def test_a_stopped_one_leaves_no_lock_and_no_address(folder: Path) -> None:
    server = EmbeddedRedis(folder)
    pid = server.start().pid
    server.stop()
    server.stop()

    assert running(folder) is None
    assert sorted(path.name for path in folder.iterdir()) == ["appendonlydir", "redis.log"]
    assert not Path(f"/proc/{pid}").exists()
    with EmbeddedRedis(folder):
        pass


class Killed:
    """A program that ran an embedded server, and was killed with -9.

    Attributes:
        server: the id of its server, which was told to end and is frozen.
    """

    def __init__(self, folder: Path) -> None:
        program = (
            "import signal, sys; from pathlib import Path; from parley.local.embedded import EmbeddedRedis; "
            "from parley.local.lifetimes import die_with_parent; "
            "print(EmbeddedRedis(Path(sys.argv[1]), preexec=die_with_parent(signal.SIGTERM)).start().pid, "
            "flush=True); signal.pause()"
        )
        with subprocess.Popen([sys.executable, "-c", program, str(folder)], stdout=subprocess.PIPE) as owner:
            assert owner.stdout is not None
            self.server = int(owner.stdout.readline())
            found = running(folder)
            assert found is not None
            with redis.Redis.from_url(found.url) as connection:
                connection.set("name", "Ada")
                connection.execute_command("WAITAOF", 1, 0, 5000)
            os.kill(self.server, signal.SIGSTOP)
            owner.kill()

    def runs(self) -> bool:
        """Return whether the server still runs."""
        with suppress(OSError):
            return "Z" not in Path(f"/proc/{self.server}/stat").read_text("ascii").split()[2]
        return False


def test_a_server_that_an_earlier_run_has_left_is_waited_for(folder: Path) -> None:
    old, lines = Killed(folder), list[str]()

    def thaw(line: str) -> None:
        lines.append(line)
        os.kill(old.server, signal.SIGCONT)

    new = EmbeddedRedis(folder)
    new.start(thaw)
    with client(new) as connection:
        assert connection.get("name") == "Ada"
        assert [path.name for path in folder.glob("*.sock")] == [SOCKET]
    assert not old.runs()
    assert len(lines) == 1
    new.stop()


def test_a_server_that_an_earlier_run_has_left_frozen_is_killed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_folder, "_OLD_SERVER_SECONDS", 0.2)
    old = Killed(folder)

    with EmbeddedRedis(folder) as new, client(new) as connection:
        assert not old.runs()
        assert connection.get("name") == "Ada"


@pytest.mark.parametrize("place", ["/proc/parley", "/sys/parley", "file", "file/redis"])
def test_a_folder_that_can_not_be_used_is_one_line_with_the_ways_out(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(EmbeddedRedisError, match=r"data folder .* can't be used.*PARLEY_DATA_DIR") as caught:
        EmbeddedRedis(tmp_path / place).start()

    assert "\n" not in str(caught.value)


def test_a_child_of_the_owner_does_not_inherit_the_lock(folder: Path) -> None:
    server = EmbeddedRedis(folder)
    server.start()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        server.stop()
        with EmbeddedRedis(folder) as next_one:
            assert running(next_one.folder) is not None
        child.kill()


def test_an_address_left_behind_by_a_kill_is_not_believed(server: EmbeddedRedis) -> None:
    state = server.folder / "running.json"
    text = state.read_text("utf-8")
    assert server.process is not None
    state.write_text(text.replace(f'"pid": {server.process.pid}', '"pid": 1'), encoding="utf-8")

    assert running(server.folder) is None


def test_the_one_of_the_port_is_found_and_else_the_only_one(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedRedisError, match="no embedded Redis runs"):
        running_of(str(tmp_path), 3500)

    with EmbeddedRedis(folder_of(str(tmp_path), 4000)) as first:
        assert running_of(str(tmp_path), 3500).url == first.url
        with EmbeddedRedis(folder_of(str(tmp_path), 4001)) as second:
            assert running_of(str(tmp_path), 4001).url == second.url
            with pytest.raises(EmbeddedRedisError, match="PORT=4000, PORT=4001"):
                running_of(str(tmp_path), 3500)


def test_where_no_server_runs_the_error_names_the_ways_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(server_binaries, "_package_folders", lambda: iter(()))
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(EmbeddedRedisError) as caught:
        find_server()

    assert "no redis-server was found" in str(caught.value)
    assert "REDIS_URL" in str(caught.value)
    assert "make setup" in str(caught.value)


def test_a_server_that_cannot_run_is_passed_over_for_the_one_on_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    good = find_server()
    package = tmp_path / "package"
    for part in ("bin", "lib"):
        (package / part).mkdir(parents=True)
    (package / "lib" / "rejson.so").symlink_to(good.module)
    broken = package / "bin" / "redis-server"
    broken.write_text(
        "#!/bin/sh\necho libssl.so.1.1: cannot open shared object file >&2\nexit 127\n", encoding="utf-8"
    )
    broken.chmod(0o755)
    path = tmp_path / "path"
    path.mkdir()
    (path / "redis-server").symlink_to(good.binary)
    monkeypatch.setattr(server_binaries, "_package_folders", lambda: iter((package,)))

    monkeypatch.setenv("PATH", f"{path}:/bin")
    found = find_server()
    monkeypatch.setenv("PATH", "/bin-of-nobody")
    with pytest.raises(EmbeddedRedisError, match=r"libssl\.so\.1\.1"):
        find_server()

    assert found.binary == path / "redis-server"
    with EmbeddedRedis(tmp_path / "data", found) as server, client(server) as connection:
        assert connection.json().set("x", "$", 1)


def test_a_server_on_path_that_brings_redisjson_along_needs_no_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    good = find_server()
    binary, module = tmp_path / "bin" / "redis-server", tmp_path / "lib/redis/modules/rejson.so"
    for link, target in ((binary, good.binary), (module, good.module)):
        link.parent.mkdir(parents=True)
        link.symlink_to(target)
    monkeypatch.setattr(server_binaries, "_package_folders", lambda: iter(()))
    monkeypatch.setenv("PATH", f"{binary.parent}:/bin")

    found = find_server()

    assert (found.binary, found.module) == (binary, module)
    with EmbeddedRedis(tmp_path / "data", found) as server, client(server) as connection:
        assert connection.json().set("x", "$", 1)


def test_a_server_that_ends_at_its_start_tells_why(folder: Path) -> None:
    good = find_server()
    broken = type(good)(good.binary, Path("/nowhere/rejson.so"), good.version, good.origin)

    with pytest.raises(EmbeddedRedisError, match=r"ended while starting: .*rejson\.so"):
        EmbeddedRedis(folder, broken).start()
