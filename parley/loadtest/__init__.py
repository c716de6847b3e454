"""Load-testing the service through its sockets: ``parley load``.

plan          sessions, protocol, rate and length of a test
texts         the texts of messages: made up, or those of recorded ``conversations``
arrivals      the times at which messages are due
histogram     durations, counted in buckets
faults        the counters of faults, and the marks that identify answers
ledger        the outcome of each message of one session
pieces        the tokens of an answer, checked for gaps and order
history       the history of a session, compared with its messages
virtual_user  one session: its messages and their answers, in any protocol
client_socket  a WebSocket that calls its owner for each frame
socket_user   a session of Parley, in its two protocols
completions_user  a conversation over chat completions
described_user  a session of any WebSocket chat, by its ``description``
idle          sockets that only stay open, and the memory they cost
closed_loop   a session whose next message follows the answer to the last one
generator     all sessions of one process
processes     ``run``: the generators of a plan, and their measurements together
model         a model server that costs next to nothing
service       the whole service with that model, for a machine where nothing runs
usage         the processor time and memory of processes
samples       usage, sampled during a test
machine       the machine of the generator
bounds        the bounds given on the command line, and verdicts on them
outcome       the result of a test, with warnings about its figures
findings      conclusions from the figures: the bottleneck, the capacity of a core
search        a search for the highest rate: which rate to try next
trial         the verdict on one rate
capacity      the trials of a search; ``capacity_report`` shows them
comparison    two services compared by repeated runs; ``comparison_report`` shows it
kills         processes of the service that are killed during a test
document      the parts that all pages share
report        the outcome as a table and as JSON
page          the outcome as a page; ``charts`` draws it, ``style`` holds its CSS
"""
