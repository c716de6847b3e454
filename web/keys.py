"""What the parts of a web process share through the aiohttp application, by typed keys."""

from __future__ import annotations

from aiohttp import web
from redis.asyncio import Redis

from pipeline.sessions import Sessions
from pipeline.settings import Settings
from web.addresses import Addresses
from web.gate import Gate
from web.hub import Hub
from web.intake import Producer
from web.outbox import Outbox

SETTINGS = web.AppKey("settings", Settings)
REDIS: web.AppKey[Redis] = web.AppKey("redis", Redis)
SESSIONS = web.AppKey("sessions", Sessions)
ADDRESSES = web.AppKey("addresses", Addresses)
GATE = web.AppKey("gate", Gate)
HUB = web.AppKey("hub", Hub)
PRODUCER: web.AppKey[Producer] = web.AppKey("producer")
OPEN: web.AppKey[set[Outbox]] = web.AppKey("open", set)
"""The outboxes of all open sockets, to be closed at the end."""
