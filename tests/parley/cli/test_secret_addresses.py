"""The passwords in REDIS_URL, of every kind of deployment, while Redis can't be reached or refuses them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from faust_redis import TransportError
from faust_redis.redis import server_from_urls
from faust_redis.testing import wait_until
from parley.local.ports import free_port
from pipeline.errors import SettingsError
from pipeline.masking import mask_url, secrets_of_url
from pipeline.settings import Settings
from tests.support.service import CLONE

PASSWORD = "Hunter22%2F"

ADDRESSES = {
    "a sentinel": (
        f"redis+sentinel://parley:{PASSWORD}@127.0.0.1:PORT/main/0"
        f"?sentinel_username=watch&sentinel_password={PASSWORD};"
        f"redis+sentinel://parley:{PASSWORD}@localhost:PORT/main/0"
    ),
    "a cluster": f"redis+cluster://parley:{PASSWORD}@127.0.0.1:PORT;redis+cluster://:{PASSWORD}@localhost:PORT",
    "tls": f"rediss://parley:{PASSWORD}@127.0.0.1:PORT/0?ssl_password={PASSWORD}",
    "a wrong port": f"redis://parley:{PASSWORD}@127.0.0.1:port/0",
    "an open password": "redis://parley:a/Hunter22@127.0.0.1:PORT/0",
    "a name misspelled": f"redis+sentinel://:{PASSWORD}@127.0.0.1:PORT/main/0?sentinel_pasword={PASSWORD}",
}


def start(folder: Path, url: str, *arguments: str) -> tuple[subprocess.Popen[bytes], Path]:
    log = Path(tempfile.mkstemp(dir=folder)[1])
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "parley.cli", *arguments],
            cwd=folder,
            env={
                **environment,
                "PYTHONPATH": CLONE,
                "REDIS_URL": url,
                "PORT": str(free_port("127.0.0.1")),
                "PARLEY_DATA_DIR": str(folder),
            },
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    return process, log


@pytest.mark.processes
@pytest.mark.parametrize("kind", ["a sentinel", "a cluster", "tls"])
def test_no_part_prints_a_password_of_an_address(tmp_path: Path, kind: str) -> None:
    url = ADDRESSES[kind].replace("PORT", str(free_port("127.0.0.1")))
    parts = [start(tmp_path, url, *words) for words in (("agent", "infer"), ("web",))]
    try:
        for process, log in parts:

            def has_failed(process: subprocess.Popen[bytes] = process, log: Path = log) -> bool:
                return process.poll() is not None or b"rror" in log.read_bytes()

            wait_until(has_failed, "a part to meet the failure", 60)
    finally:
        for process, _ in parts:
            process.send_signal(signal.SIGKILL)
            process.wait()

    for _, log in parts:
        printed = log.read_text("utf-8", "replace")
        assert printed
        assert [line for line in printed.splitlines() if "Hunter22" in line] == []


@pytest.mark.parametrize("url", ADDRESSES.values(), ids=ADDRESSES.keys())
def test_no_error_about_an_address_has_its_password(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    url = url.replace("PORT", "6379")
    monkeypatch.setenv("REDIS_URL", url)
    shown = []
    try:
        settings = Settings.load()
        shown.append(settings.masked_redis_url())
        server_from_urls(settings.redis_url.split(";"))
    except (SettingsError, TransportError) as error:
        shown += [str(error), repr(error)]
    assert shown
    assert [text for text in shown if "Hunter22" in text] == []


@pytest.mark.parametrize("url", ADDRESSES.values(), ids=ADDRESSES.keys())
def test_every_address_is_masked(url: str) -> None:
    assert "Hunter22" not in mask_url(url.replace("PORT", "6379"))


def test_the_secrets_of_all_addresses_are_known() -> None:
    url = ADDRESSES["a sentinel"].replace("PORT", "6379").replace(PASSWORD, "first1", 1)
    assert {"first1", "Hunter22/"} <= set(secrets_of_url(url))
