"""The nouns: typed configuration, frame columns, rejection codes, tables and errors.

Never does work: nothing here reads a file, opens a connection or knows the time.
"""
