"""Pure functions between the doors and the store: read formats, normalise, check, guard, allocate.

Never does I/O of its own (readers get an `open_binary` callable), never reads a clock, never sees a database.
"""
