"""The report of a run, and the comparison of several: matplotlib figures on one self-contained HTML page.

Nothing here needs torch: predictions and images are read as numpy arrays.
"""

NAVIGATION = "<!-- navigation -->"
"""The place in each page where a server may put its navigation links."""
