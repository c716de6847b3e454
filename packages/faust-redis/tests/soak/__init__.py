"""The same load for a long time, on workers that come and go: what grows that should not?

`__main__` is `make soak`; `course` runs it, `load` sends, `journal` checks what was handled, `samples` counts
what there is, `growth` compares early with late. The Faust program is `conformance/programs/soaked.py`.
"""
