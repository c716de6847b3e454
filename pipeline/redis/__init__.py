"""Connect to Redis, run Lua scripts on it, and count rates in it."""
