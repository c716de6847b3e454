"""Define the four stages of a turn, each a Faust app of its own."""
