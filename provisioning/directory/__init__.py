"""Directories: full synchronisations, and events that say what is to be read again.

Nothing that a directory says is applied in pieces that contradict each other. A synchronisation lays all pages that it
reads into rows and applies them at once; an event only marks a group or a user as dirty, and what is dirty is read
again. What was read by either comes to `teams.memberships` behind the lock of the directory's row, so that it is always
known which of two readings is the newer one.
"""
