"""A user's service, in Starlette. Comments mark what watches it."""

import numpy as np
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest  # watch
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import catwalk  # watch

monitor = catwalk.PredictionMonitor("churn")  # watch
WEIGHTS = np.array([0.8, -0.5])


def churns(age: float, calls: float) -> float:
    return float(1 / (1 + np.exp(-WEIGHTS @ [age, calls])))


def answer(customer: dict[str, float]) -> float:
    with monitor.prediction(customer) as seen:  # watch
        seen.output = churns(customer["age"], customer["calls"])  # watch
    return seen.output


async def predict(request: Request) -> Response:
    try:
        return JSONResponse({"churns": await run_in_threadpool(answer, await request.json())})
    except (KeyError, TypeError):
        return JSONResponse({"error": "age and calls, as numbers"}, status_code=422)


def metrics(request: Request) -> Response:  # watch
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)  # watch


app = Starlette(routes=[Route("/predict", predict, methods=["POST"]), Route("/metrics", metrics)])  # watch
