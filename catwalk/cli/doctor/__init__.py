"""Checks every part of Catwalk by using it, and says what to do about what is wrong.

A check is a function without arguments. It returns what it has found where all is well, and raises
:class:`catwalk.cli.doctor.check.Unwell` where not.
"""
