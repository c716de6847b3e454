"""Sessions and what belongs to them: messages, turns, answers and presence."""
