"""Measure the speed of Parley, next to other libraries and to the limits of its parts."""
