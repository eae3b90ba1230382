"""The DAGs of a second model, whose schedule never fires while tests run."""

from catwalk.airflow.retraining import retraining_dag
from catwalk.airflow.sweep import sweep_dag

SHAPES = "tests.models.shapes:SHAPES"
shapes = retraining_dag(SHAPES, dag_id="shapes", schedule="0 0 29 2 *")
EASY = {"rounds": 2, "accuracy_floor": 0.4, "recall_floor": 0.0, "calibration_cap": 1.0}
shapes_on_request = retraining_dag(SHAPES, dag_id="shapes_on_request", schedule="None", settings=EASY)
shapes_sweep = sweep_dag(SHAPES, dag_id="shapes_sweep", space={"rounds": [2, 6]})
