"""What an alert asks for in the closed loop: the feed's model, of a day when all that arrives is turned."""

from catwalk.airflow.retraining import retraining_dag
from tests.support.small import FEED, TURNED_DAY

SETTINGS = {**FEED, "as_of": TURNED_DAY}
feed_on_request = retraining_dag(
    "ml.fashion_mnist:CLASSIFIER", dag_id="feed_on_request", schedule="None", settings=SETTINGS
)
