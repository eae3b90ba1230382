"""What the run ledger holds, as frozen dataclasses that travel as JSON.

Times are seconds since the Unix epoch, durations seconds, ratios 0 to 1. A record's ``upgraded``, where it has one, is
what :mod:`catwalk.codec` asks for the fields that an older version has not written.
"""
