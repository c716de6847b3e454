"""The private names that the transport depends on, and the Faust in which they are as expected."""

from __future__ import annotations

from typing import Final, NamedTuple

import faust
from mode import get_logger

from faust_redis.errors import UnsupportedFaustError

__all__ = ["ATTRIBUTES", "METHODS", "SUPPORTED_FAUST", "Method", "check_faust"]

logger = get_logger(__name__)

#: The version of faust-streaming that the transport is made for and tested with.
SUPPORTED_FAUST: Final = "0.15.3"


class Method(NamedTuple):
    """A private method or function of another package.

    Attributes:
        owner: Module and class, ``faust.streams:Stream``; or only the module.
        signature: Its parameters, without annotations.
    """

    owner: str
    name: str
    signature: str


#: Methods that subclasses of the transport override, or call on themselves, and those that hooks call.
METHODS: Final = (
    # overridden by consuming.consumer.Consumer
    Method("faust.transport.consumer:Consumer", "_commit", "(self, offsets)"),
    Method("faust.transport.consumer:Consumer", "_commit_tps", "(self, tps, start_new_transaction)"),
    Method("faust.transport.consumer:Consumer", "_drain_messages", "(self, fetcher)"),
    Method("faust.transport.consumer:Consumer", "_filter_tps_with_pending_acks", "(self, topics=None)"),
    Method("faust.transport.consumer:Consumer", "_getmany", "(self, active_partitions, timeout)"),
    Method("faust.transport.consumer:Consumer", "_new_topicpartition", "(self, topic, partition)"),
    Method("faust.transport.consumer:Consumer", "_seek", "(self, partition, offset)"),
    Method("faust.transport.consumer:Consumer", "_to_message", "(self, tp, record)"),
    # called by it
    Method("faust.transport.consumer:Consumer", "_clean_unacked_messages", "(self)"),
    Method("faust.transport.consumer:Consumer", "_handle_attached", "(self, commit_offsets)"),
    Method("faust.transport.consumer:Consumer", "_set_active_tps", "(self, tps)"),
    Method("faust.transport.consumer:Consumer", "_wait_next_records", "(self, timeout)"),
    # overridden by consuming.replies.ReplyConsumer, producing.buffer.Buffer, fastpath.conductor.FastConductor
    Method("faust.agents.replies:ReplyConsumer", "_drain_replies", "(self, channel)"),
    Method("faust.transport.producer:ProducerBuffer", "_send_pending", "(self, fut)"),
    Method("faust.transport.conductor:Conductor", "_build_handler", "(self, tp, channels)"),
    # overridden by fastpath.stream.Stream, and called by it
    Method("faust.streams:Stream", "_enable_passive", "(self, channel, *, declare=False)"),
    Method("faust.streams:Stream", "_passive_drainer", "(self, channel, declare=False)"),
    Method("faust.streams:Stream", "_channel_stop_iteration", "(self, channel)"),
    # called by joins.streams.JoiningStream
    Method("faust.streams:Stream", "_chain", "(self, **kwargs)"),
    Method("faust.streams:Stream", "_iter_ll_backwards", "(self)"),
    # overridden by joins.table_join.JoinableTable
    Method("faust.tables.base:Collection", "_join", "(self, join_strategy)"),
    # called by fastpath.topic.Topic
    Method("faust.topics:Topic", "_on_published", "(self, fut, message, producer, state)"),
    Method("faust.topics:Topic", "_topic_name_or_default", "(self, obj)"),
    # overridden by redis.cluster_redirects.AskingCluster
    Method("redis.asyncio.cluster:RedisCluster", "_execute_command", "(self, target_node, *args, **kwargs)"),
    # called by hooks
    Method(
        "faust.contrib.opentelemetry:OpenTelemetrySensor",
        "_span_attributes",
        "(self, stream, event, tp, offset)",
    ),
    Method("faust.types.tuples", "_get_len", "(s)"),
    Method("faust.app.base:App", "_update_assignment", "(self, assigned)"),
    Method("faust.serializers.registry:Registry", "_serializer", "(self, typ, *alt)"),
    Method("faust.assignor.partition_assignor:PartitionAssignor", "_compress", "(raw)"),
    Method("faust.assignor.partition_assignor:PartitionAssignor", "_decompress", "(compressed)"),
    Method(
        "faust.assignor.partition_assignor:PartitionAssignor",
        "_global_table_standby_assignments",
        "(self, assignments, partitions_by_topic)",
    ),
    Method("faust.tables.base:Collection", "_del_old_keys", "(self)"),
    Method("faust.tables.base:Collection", "_maybe_set_key_ttl", "(self, key, partition)"),
    Method("faust.tables.base:Collection", "_to_key", "(self, k)"),
    Method("faust.stores.base:Store", "_decode_key", "(self, key)"),
    Method("faust.stores.rocksdb:Store", "_visible_keys", "(self, db)"),
    Method("asyncio.queues:Queue", "_wakeup_next", "(self, waiters)"),
)

#: Private attributes of objects, by the kind of object; ``test_faust_contract`` makes one of each kind.
ATTRIBUTES: Final = {
    "actor": ("_stopped",),
    "agent": ("_actor_by_partition", "_actors", "_on_error"),
    "app": ("_attachments", "_reply_consumer", "_web_server_service"),
    "assignor": ("_table_manager",),
    "channel": ("_queue",),
    "conductor": ("_tp_index", "_tp_to_callback_lock", "_resubscribe_sleep_lock_seconds"),
    "consumer": (
        "_acked",
        "_acked_index",
        "_active_partitions",
        "_commit_every",
        "_paused_partitions",
        "_waiting_for_ack",
    ),
    "future": ("_log_traceback",),
    "memory store": ("_key_partition",),
    "module faust.streams": ("_current_event",),
    "queue": ("_errors", "_getters", "_pending_pressure_drop_callbacks", "_putters", "_queue"),
    "record": ("_blessed_key", "_maybe_namespace", "_model_init", "_options"),
    "record's field": ("_to_python",),
    "redis connection": ("_reader", "_writer"),
    "reply consumer": ("_waiting",),
    "rocksdb store": ("_dbs", "_key_index"),
    "sensors": ("_sensors",),
    "settings": ("_Stream", "_Table"),
    "signal": ("_filter_receivers", "_receivers"),
    "stream": ("_active_agens", "_finalized", "_next", "_passive", "_processors"),
    "supervisor": ("_bucket", "_services"),
    "table": ("_partition_latest_timestamp", "_partition_timestamp_keys", "_partition_timestamps"),
    "tables": ("_changelogs", "_pending_persisted_offsets"),
}


def check_faust(version: str = faust.__version__) -> None:
    """Refuse a Faust whose private parts may differ; warn of one that differs by its patch number only.

    Raises:
        UnsupportedFaustError: Its major or minor version is another one than that of ``SUPPORTED_FAUST``.
    """
    if version == SUPPORTED_FAUST:
        return
    if version.split(".")[:2] != SUPPORTED_FAUST.split(".")[:2]:
        raise UnsupportedFaustError(version, SUPPORTED_FAUST)
    logger.warning(
        "faust-streaming %s is installed, this transport is tested with %s only", version, SUPPORTED_FAUST
    )
