"""The report of a run: matplotlib figures and one self-contained HTML page. None is built yet."""
