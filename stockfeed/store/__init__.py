"""Everything that is kept: database and archive. Decides nothing: the pipeline does."""
