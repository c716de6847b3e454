"""Load-testing the service through its sockets: ``parley load``.

plan        what to do: how many sessions, which protocol, when messages go out
arrivals    the moments at which messages are due
histogram   durations, counted in buckets
faults      what must never happen, and the marks by which answers are told apart
ledger      what became of each message: answered once, in order, on the right socket, or not
pieces      the tokens of an answer: each once, in order, and together the answer
history     whether the history of a session holds what was said in it
talker      one session: its socket, what it sends, what it is told
idle        sockets that only stay open, and what memory they cost
generator   all sessions of one process
processes   ``run``: as many generators as the plan says, and what they measured together
model       a model server that costs next to nothing
service     the whole service with that model, for a machine where nothing runs
usage       what processes use of a machine
samples     the same, looked at again and again while a test runs
machine     what the generator runs on
bounds      what was asked of the test, and whether it was kept
outcome     all that came of a test, and what makes its figures doubtful
findings    what the figures mean: what was full, what a core is good for
report      the outcome as a table and as JSON
page        the same as a page; ``charts`` draws, ``style`` is how it looks
"""
