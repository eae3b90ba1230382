"""Building blocks of DAG files."""
