"""The DAGs of a second model, whose schedule never fires while tests run."""

from catwalk.airflow.retraining import retraining_dag
from catwalk.airflow.sweep import sweep_dag

SHAPES = "tests.models.shapes:SHAPES"
shapes = retraining_dag(SHAPES, dag_id="shapes", schedule="0 0 29 2 *")
shapes_sweep = sweep_dag(SHAPES, dag_id="shapes_sweep", space={"rounds": [2, 6]})
