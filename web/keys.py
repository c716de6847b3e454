"""Define the typed keys of objects that the parts of a web process share through the application."""

from __future__ import annotations

from collections.abc import Collection

from aiohttp import web
from redis.asyncio import Redis

from pipeline.chat.sessions import Sessions
from pipeline.edge.addresses import Addresses
from pipeline.settings import Settings
from pipeline.telemetry.stages.staffing import Staffing
from web.chat.hub import Hub
from web.chat.intake import Producer
from web.chat.outbox import Outbox
from web.edge.connection import EDGE as EDGE
from web.limits.admission import AdmissionControl

SETTINGS = web.AppKey("settings", Settings)
REDIS: web.AppKey[Redis] = web.AppKey("redis", Redis)
SESSIONS = web.AppKey("sessions", Sessions)
ADDRESSES = web.AppKey("addresses", Addresses)
GATE = web.AppKey("gate", AdmissionControl)
HUB = web.AppKey("hub", Hub)
STAFFING = web.AppKey("staffing", Staffing)
PRODUCER: web.AppKey[Producer] = web.AppKey("producer")
ORIGINS: web.AppKey[Collection[str]] = web.AppKey("origins")
"""The allowed origins besides that of the Host header."""
NODE = web.AppKey("node", str)
"""The id of this process as a node, which names its stream."""
OPEN: web.AppKey[set[Outbox]] = web.AppKey("open", set)
"""The outboxes of all open sockets, which are closed at shutdown."""
