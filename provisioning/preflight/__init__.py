"""The preflight: does AWS let the portal do what the rows ask for, and if not, what is missing and where.

`running.run()` reads the rows, asks AWS in threads within a deadline, changes nothing, and returns results.
"""
