"""One hop of the plumbing each: takes a message from ``hop<n>`` and sends it on to ``hop<n+1>``, unchanged.

Which hop, and where Redis is, comes by environment: BENCH_HOP, BENCH_REDIS_URL. The programs for FastStream
and taskiq run in an environment of their own and import nothing of this project.
"""
