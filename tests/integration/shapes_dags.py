"""The DAGs of a second model. No schedule fires while tests run, but the one of a DAG that a test unpauses."""

from catwalk.airflow.retraining import retraining_dag
from catwalk.airflow.sweep import sweep_dag

SHAPES = "tests.models.shapes:SHAPES"
shapes = retraining_dag(SHAPES, dag_id="shapes", schedule="0 0 29 2 *")
EASY = {"rounds": 2, "accuracy_floor": 0.4, "recall_floor": 0.0, "calibration_cap": 1.0}
shapes_on_request = retraining_dag(SHAPES, dag_id="shapes_on_request", schedule="None", settings=EASY)
shapes_once = retraining_dag(
    SHAPES, dag_id="shapes_once", schedule="@once", settings={**EASY, "rounds": 4, "pause": 2.0}
)
shapes_once.is_paused_upon_creation = True  # its only scheduled run is due once a test unpauses it
shapes_sweep = sweep_dag(SHAPES, dag_id="shapes_sweep", space={"rounds": [2, 6]})
