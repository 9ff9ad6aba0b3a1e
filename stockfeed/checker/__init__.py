"""Verifies the rules that are never broken (DESIGN §3) on a database, its archive and what channels received.

Shares no code with the pipeline, so that a mistake there cannot hide itself here: plain SQL and plain Python on what is
stored. Only reads. What cannot be seen in stored data (I10's speed, I13 outside the database, I16's memory and time) is not judged.
"""

from stockfeed.checker.run import QUERIES, check_database

__all__ = ["QUERIES", "check_database"]
