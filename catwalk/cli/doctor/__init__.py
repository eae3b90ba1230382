"""Checks every part of Catwalk by using it, and shows how to fix what is wrong.

A check is a function without arguments. It returns its finding if all is well, and raises
:class:`catwalk.cli.doctor.check.Unwell` otherwise.
"""
