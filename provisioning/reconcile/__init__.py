"""Comparisons of domains: what AWS has against what should be, planned first, then repaired by the usual steps.

`runs` makes steps at the row of a comparison, `reading` asks AWS, `plan` is pure and says what differs, `finishing`
decides what becomes of a plan and carries it out through the doors to the profile rows.
"""
