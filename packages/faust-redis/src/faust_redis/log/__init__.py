"""The data in Redis: keys, entries, topics, changelogs and dead letters."""
