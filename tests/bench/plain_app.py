"""A service as you write it in FastAPI in ten minutes: the model, and nothing else."""

from __future__ import annotations

import os

import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel

from catwalk.ledger.models.champion import verified_model
from catwalk.ledger.runs import Run
from catwalk.storage.opening import open_store
from catwalk.trainable import config_of, of_run

run = Run(open_store(), os.environ["PLAIN_RUN"])
trainable = of_run(run.record)
predict_logits = trainable.predictor(config_of(trainable, run.record), verified_model(run))
app = FastAPI()


class Picture(BaseModel):
    """Grey values, row by row."""

    inputs: list[list[int]]


class Prediction(BaseModel):
    """The likeliest class."""

    label: str
    confidence: float


@app.get("/healthz")
def healthz() -> dict[str, str]:
    """It lives."""
    return {"status": "ok"}


@app.post("/predict")
def predict(picture: Picture) -> Prediction:
    """Returns the class of one picture."""
    logits = predict_logits({"images": np.asarray([picture.inputs], dtype=np.uint8)})[0].astype(float)
    probabilities = np.exp(logits - logits.max())
    best = int(probabilities.argmax())
    return Prediction(
        label=trainable.problem.classes[best], confidence=float(probabilities[best] / probabilities.sum())
    )
