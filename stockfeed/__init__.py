"""The application: configuration, secrets, store, the five verbs, the command line and the demo.

Never imports Airflow: the clock lives in `dags`.
"""

__version__ = "0.1.0"
