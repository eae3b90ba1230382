"""A model whose author logs from mapped tasks of Airflow 3, one for each version; one fails once, after an epoch."""

from datetime import datetime

from airflow.sdk import dag, task


@dag(schedule=None, start_date=datetime(2026, 1, 1), catchup=False)
def depths():
    @task(retries=1, retry_delay=1)
    def train(depth: int) -> None:
        import numpy as np

        import catwalk

        truth = np.linspace(-50.0, 200.0, 600)
        with catwalk.run("depths", catwalk.Regression(unit="EUR"), params={"depth": depth}) as run:
            done = run.resume()
            run.epoch(done + 1, train={"loss": 1 / depth})
            if depth == 3 and not done:
                raise MemoryError("no room for so deep a model")
            run.model(b"of depth %d" % depth)
            run.test(truth, truth + np.sin(np.arange(600)) / depth, keys=range(600))
        print(run.decision)

    train.expand(depth=[1, 3])


depths()
