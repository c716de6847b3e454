"""Each module is one hop: it forwards messages from ``hop<n>`` to ``hop<n+1>``, unchanged.

BENCH_HOP is the number of the hop, BENCH_REDIS_URL the address of Redis. The programs
of the other frameworks run in a separate environment and import nothing of this project but ``feeding``.
"""
