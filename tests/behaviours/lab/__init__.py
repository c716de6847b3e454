"""A lab that breaks the whole service with many faults at the same time, and keeps the books of its clients.

`make lab` runs it, as `python -m tests.behaviours.lab`:

    LAB_SEED      which faults come, printed so that a run can be repeated
    LAB_SECONDS   how long they come (300)
    LAB_ROUND     seconds until all faults end for a moment and every client must be answered (45)
    LAB_SESSIONS  how many clients talk (20)
    LAB_REDIS     embedded: `parley up` runs Redis; proxied: Redis is elsewhere, behind a faulty network
    LAB_FAULTS    only faults whose names contain one of these words; without those named as -word

Redis runs with the settings that `parley up` ships. The exit status is 1 if a message was lost, doubled,
misordered or crossed, if a client was not answered, or if a process was away at the end.
"""
