"""The records of the run ledger, as frozen dataclasses that are stored as JSON.

Times are seconds since the Unix epoch, durations are seconds, ratios are 0 to 1. :mod:`catwalk.codec` calls a record's
``upgraded``, if it has one, for the fields that an older version did not write.
"""
