"""Joins of two streams within a window, and of a stream with a table; merged streams.

Programs use them by the methods of streams: ``(orders & payments).inner_join(…)``.
"""
