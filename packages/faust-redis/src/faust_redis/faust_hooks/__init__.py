"""Every place where the transport touches private parts: of Faust and mode, of CPython, of redis-py.

Reads and writes of private attributes are functions of the modules here; code that runs for every event calls
them once and keeps the object. Private methods that the transport's subclasses override, or call on
themselves, stay in the subclasses and are listed in :mod:`contract`, which also names the supported Faust. A
test compares each name and signature with the installed Faust.
"""
