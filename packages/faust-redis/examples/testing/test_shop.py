"""Test your own program with a real Redis, a real worker, and waits on conditions.

$ python -m pytest -q test_shop.py
1 passed
"""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from redis.asyncio import Redis

from faust_redis import Inspector
from faust_redis.testing import RedisServer, wait_for_group, wait_until

HERE = Path(__file__).parent


def test_an_order_becomes_a_bill(tmp_path):
    with RedisServer(tmp_path / "redis") as server:
        environment = {**os.environ, "BROKER": server.url, "PYTHONPATH": str(HERE)}
        faust = [sys.executable, "-m", "faust", "--datadir", str(tmp_path / "data"), "-A", "shop"]
        worker = subprocess.Popen([*faust, "worker", "--without-web"], env=environment)
        try:
            wait_for_group(server.url, "shop")
            subprocess.run([*faust, "send", "-k", "Ada", "orders", "7"], env=environment, check=True)
            wait_until(lambda: asyncio.run(amounts(server.url)), "a bill")
            assert asyncio.run(amounts(server.url)) == [14]
        finally:
            worker.terminate()
            worker.wait()


async def amounts(url):
    async with Redis.from_url(url) as redis:
        inspector = Inspector(redis)
        pages = [await inspector.latest("bills", partition, "shop") for partition in range(2)]
        return [int(entry.record.value) for page in pages for entry in page]
