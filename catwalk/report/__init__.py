"""The report of a run, and the comparison of several: matplotlib figures on one self-contained HTML page.

Nothing here needs torch: predictions and images are read as numpy arrays.
"""

NAVIGATION = "<!-- navigation -->"
"""In each page, where a server may put links to what lies around it."""
