"""The doors: one file per outside system, as a Source, a Channel, or both.

Never touches our database, and never decides what a number means.
"""
