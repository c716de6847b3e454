"""Store sessions with their messages, turns, answers and presence."""
