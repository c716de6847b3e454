"""What the parts of a web process share through the aiohttp application, by typed keys."""

from __future__ import annotations

from aiohttp import web
from redis.asyncio import Redis

from pipeline.chat.sessions import Sessions
from pipeline.settings import Settings
from web.chat.hub import Hub
from web.chat.intake import Producer
from web.chat.outbox import Outbox
from web.limits.addresses import Addresses
from web.limits.admission import AdmissionControl

SETTINGS = web.AppKey("settings", Settings)
REDIS: web.AppKey[Redis] = web.AppKey("redis", Redis)
SESSIONS = web.AppKey("sessions", Sessions)
ADDRESSES = web.AppKey("addresses", Addresses)
GATE = web.AppKey("gate", AdmissionControl)
HUB = web.AppKey("hub", Hub)
PRODUCER: web.AppKey[Producer] = web.AppKey("producer")
OPEN: web.AppKey[set[Outbox]] = web.AppKey("open", set)
"""The outboxes of all open sockets, to be closed at the end."""
