"""The driver: Faust loads it for ``broker="redis://…"``, by entry point or :func:`register`."""

from __future__ import annotations

import ssl
from typing import Any, ClassVar, Final, cast

import redis as redis_py
from faust.auth import SASLCredentials, SSLCredentials
from faust.transport import base
from faust.transport.drivers import TRANSPORTS
from faust.types.auth import CredentialsT, SASLMechanism
from faust.types.enums import ProcessingGuarantee
from faust.types.transports import (
    ConductorT,
    ConsumerCallback,
    ConsumerT,
    ProducerT,
    TransactionManagerT,
)

from faust_redis.consuming.conductor import Conductor
from faust_redis.consuming.consumer import Consumer
from faust_redis.consuming.replies import use_reply_consumer
from faust_redis.context import TransportContext
from faust_redis.errors import UnsupportedSettingError
from faust_redis.fastpath.conductor import FastConductor
from faust_redis.fastpath.installer import install_fast_path
from faust_redis.faust_hooks.apps import serve_plain_functions
from faust_redis.faust_hooks.contract import check_faust
from faust_redis.faust_hooks.traces import name_redis
from faust_redis.joins.streams import install_streams
from faust_redis.options import read_options
from faust_redis.producing.producer import Producer
from faust_redis.producing.transaction_manager import TransactionManager
from faust_redis.redis.durability import Durability
from faust_redis.redis.servers import server_at

__all__ = ["SCHEMES", "Transport", "register"]

#: The schemes of a broker's address; each is an entry point of the group ``faust.transports``.
SCHEMES: Final = (
    "redis",
    "rediss",
    "unix",
    "redis+sentinel",
    "rediss+sentinel",
    "redis+cluster",
    "rediss+cluster",
)


def register() -> None:
    """Register the schemes with Faust in this process, where the package's entry points are not installed."""
    TRANSPORTS.get_alias("kafka")  # reads the entry points, which would be read later and win
    for scheme in SCHEMES:
        TRANSPORTS.aliases[scheme] = f"{__name__}:Transport"


class Transport(base.Transport):
    """Redis Streams as Faust's broker.

    Raises:
        OptionError: An option in the URL is unknown or wrong.
        UnsupportedFaustError: Another version of Faust is installed.
        UnsupportedSettingError: The app asks for something that Redis can't keep, such as exactly once.
    """

    Consumer: ClassVar[type[ConsumerT]] = Consumer
    Producer: ClassVar[type[ProducerT]] = Producer
    Conductor: ClassVar[type[ConductorT]] = Conductor
    TransactionManager: ClassVar[type[TransactionManagerT]] = TransactionManager

    default_port = 6379
    driver_version = f"redis={redis_py.__version__}"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        check_faust()
        super().__init__(*args, **kwargs)
        conf = cast(Any, self.app.conf)
        guarantee = cast(ProcessingGuarantee, conf.processing_guarantee)
        self.options, self.addresses = read_options(self.app, [str(url) for url in self.url])
        if guarantee is ProcessingGuarantee.EXACTLY_ONCE:
            self._check_exactly_once()
        install_streams(self.app)
        if self.options.fast_path:
            install_fast_path(self.app)
        self._durability = Durability(
            self.options.acks, self.options.acks_replicas, self.options.acks_timeout_ms
        )
        self._login = _login(self.app.conf.broker_credentials, self.app.conf.ssl_context)

    def _check_exactly_once(self) -> None:
        """Refuse what can't be done exactly once.

        Raises:
            UnsupportedSettingError: As above.
        """
        setting, value = "processing_guarantee", ProcessingGuarantee.EXACTLY_ONCE.value
        if "+cluster" in self.addresses[0].partition(":")[0]:
            raise UnsupportedSettingError(
                setting, value, "the keys of one event lie in several slots of a cluster; use one Redis"
            )
        if cast(Any, self.app.conf).stream_publish_on_commit:
            raise UnsupportedSettingError(
                "stream_publish_on_commit", True, "with exactly_once every message is sent with the commit"
            )

    def create_conductor(self, **kwargs: Any) -> ConductorT:
        """Return the app's conductor."""
        kind = FastConductor if self.options.fast_path else Conductor
        return kind(app=self.app, **kwargs)

    def create_consumer(self, callback: ConsumerCallback, **kwargs: Any) -> ConsumerT:
        """Return a new consumer of the app."""
        use_reply_consumer(self.app)
        serve_plain_functions(self.app)
        for sensor in self.app.sensors:
            name_redis(sensor)
        return super().create_consumer(callback, **kwargs)

    def create_producer(self, **kwargs: Any) -> ProducerT:
        """Return a new producer of the app; a program that only asks has it before any consumer."""
        use_reply_consumer(self.app)
        serve_plain_functions(self.app)
        return super().create_producer(**kwargs)

    @property
    def context(self) -> TransportContext:
        """The context that the consumer and the producer of one app share."""
        return TransportContext.of(
            self.app,
            ";".join(self.addresses),
            self.options,
            lambda: server_at(self.addresses, **self._login, durability=self._durability),
        )


def _login(credentials: CredentialsT | None, context: ssl.SSLContext | None) -> dict[str, Any]:
    """Return Faust's credentials as arguments of :func:`server_at`."""
    match credentials:
        case None:
            return {"ssl_context": context}
        case SSLCredentials():
            return {"ssl_context": credentials.context or context}
        case SASLCredentials() if credentials.mechanism is SASLMechanism.PLAIN:
            login = {"username": credentials.username, "password": credentials.password}
            return {**login, "ssl_context": credentials.ssl_context or context}
    raise UnsupportedSettingError(
        "broker_credentials", credentials, "Redis takes a user with a password, and certificates"
    )
