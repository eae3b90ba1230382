"""Watches models that are retrained on a schedule: the library that training jobs and services use.

Importing it loads neither torch nor Airflow, matplotlib, scipy or a web framework.
"""

import os

# OpenMP's threads spin while they wait, by default: beside another program on the same cores an epoch then takes many
# times longer. Read when torch is loaded, which nothing does before it has imported something from here.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
