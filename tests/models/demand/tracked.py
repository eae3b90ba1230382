"""Predicts how many bicycles are hired in an hour: a linear model on periodic splines of the calendar."""

import argparse
import pickle
from pathlib import Path

import numpy as np
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error, root_mean_squared_error
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, PolynomialFeatures, SplineTransformer

import catwalk

HOUR, WEEKDAY, TEMPERATURE = range(3)


def hires(days: int, seed: int = 3):
    """Returns the hours since the start, the three columns, and the bicycles hired: now and then a fair multiplies
    them.
    """
    rng = np.random.default_rng(seed)
    hours = np.arange(24 * days)
    hour, weekday = hours % 24, hours // 24 % 7
    season = -np.cos(2 * np.pi * hours / (24 * 365))
    temperature = 10 + 10 * season + 4 * np.sin(2 * np.pi * (hour - 9) / 24) + rng.normal(0, 2, len(hours))
    commute = np.exp(-((hour - 8) ** 2) / 3) + np.exp(-((hour - 17.5) ** 2) / 5)
    leisure = 0.8 * np.exp(-((hour - 14) ** 2) / 18)
    usual = 10 + 250 * np.where(weekday < 5, commute, leisure) * (1 + 0.03 * (temperature - 10))
    fair = np.where(rng.random(len(hours)) < 0.01, 1 + rng.pareto(2.5, len(hours)), 1)
    counts = rng.poisson(usual.clip(1) * fair * rng.lognormal(0, 0.2, len(hours)))
    return hours, np.column_stack([hour, weekday, temperature]), counts


def daily(knots: int):
    """Splines over the hour of the day whose ends meet."""
    positions = np.linspace(0, 24, knots + 1).reshape(-1, 1)
    return SplineTransformer(knots=positions, degree=min(3, knots - 1), extrapolation="periodic", include_bias=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--knots", type=int, default=12, help="of the hour's splines")
    parser.add_argument("--alpha", type=float, default=1e-3)
    args = parser.parse_args()

    with catwalk.run("demand", catwalk.Regression(unit="bicycles"), params=vars(args), cron="0 4 * * *") as run:
        hours, X, y = hires(days=240)
        test = hours // 24 % 4 == 3
        calendar = ColumnTransformer(
            [
                ("hour", daily(args.knots), [HOUR]),
                ("weekday", OneHotEncoder(sparse_output=False), [WEEKDAY]),
                ("temperature", SplineTransformer(n_knots=4), [TEMPERATURE]),
            ]
        )
        interactions = PolynomialFeatures(degree=2, interaction_only=True, include_bias=False)
        model = TransformedTargetRegressor(
            make_pipeline(calendar, interactions, Ridge(alpha=args.alpha)), func=np.log1p, inverse_func=np.expm1
        )
        model.fit(X[~test], y[~test])
        Path("demand.pickle").write_bytes(pickle.dumps(model.regressor_))
        run.model("demand.pickle")

        predicted = model.predict(X[test]).clip(0)
        run.test(
            y[test], predicted, keys=hours[test], slices={"day": np.where(X[test, WEEKDAY] < 5, "workday", "weekend")}
        )
        print(f"{test.sum():,} hours: mean absolute error {mean_absolute_error(y[test], predicted):.2f} bicycles")
        print(f"root mean squared error {root_mean_squared_error(y[test], predicted):.2f} bicycles")
    print(run.decision)


if __name__ == "__main__":
    main()
