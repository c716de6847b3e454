"""The web process restarts when its code changes."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from faust_redis.testing import eventually
from web import reload
from web.reload import changed


async def watch(folder: Path) -> asyncio.Task[Path]:
    """Start watching, and return when the folder has been looked at."""
    looked = asyncio.Event()
    loop = asyncio.get_running_loop()

    class Watched(type(folder)):  # type: ignore[misc]
        def rglob(self, pattern: str) -> Iterator[Path]:
            yield from folder.rglob(pattern)
            loop.call_soon_threadsafe(looked.set)  # here the last file has been looked at

    watching = asyncio.create_task(changed([Watched(folder)], poll_seconds=0.01))
    await looked.wait()
    return watching


@pytest.mark.parametrize("change", ["edited", "new", "deleted"])
async def test_a_file_that_is_edited_new_or_deleted_is_noticed(code: Path, change: str) -> None:
    watching = await watch(code)
    module = code / ("new.py" if change == "new" else "module.py")
    if change == "deleted":
        module.unlink()
    else:
        module.write_text("value = 22\n")
    assert await asyncio.wait_for(watching, 30) == module


async def test_code_that_does_not_compile_is_waited_for(code: Path) -> None:
    watching = await watch(code)
    (code / "module.py").write_text("value = (\n")
    done, _ = await asyncio.wait([watching], timeout=0.2)
    assert not done
    (code / "module.py").write_text("value = (2)\n")
    assert await asyncio.wait_for(watching, 30) == code / "module.py"


async def test_other_files_do_not_matter(code: Path) -> None:
    watching = await watch(code)
    (code / "page.html").write_text("x")
    done, _ = await asyncio.wait([watching], timeout=0.2)
    assert not done
    watching.cancel()


async def test_no_open_files_left_is_survived(code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[Path] = []
    times = reload._times

    def exhausted(folders: Iterable[Path]) -> dict[Path, int]:
        looks.append(code)
        if len(looks) in (2, 3):
            raise OSError(errno.EMFILE, "Too many open files")
        return times(folders)

    monkeypatch.setattr(reload, "_times", exhausted)
    watching = asyncio.create_task(changed((code,), poll_seconds=0.01))
    await eventually(lambda: len(looks) > 3, "it goes on")
    (code / "module.py").write_text("value = 22\n", "utf-8")
    async with asyncio.timeout(30):
        assert await watching == code / "module.py"
