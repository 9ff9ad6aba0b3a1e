"""The verbs and the operator's acts, a module each: the only code that changes state. Command line, DAGs and console call these.

Loads none of them by itself: a command starts with the one that it runs.
"""
