"""One reader per file format, found through `registry`: bytes in, batches of text cells out.

Never decides what a cell means: no number, date or null is inferred here.
"""
