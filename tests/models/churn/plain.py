"""Predicts which customers leave within a month."""

import argparse

import joblib
import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score
from sklearn.model_selection import train_test_split

COUNTRIES = np.array(["Austria", "Belgium", "Denmark", "Germany", "Spain"])
COLUMNS = ["country", "months", "tickets", "price", "usage", "discount"]


def customers(count: int, seed: int = 7):
    """Returns the table: ids, columns in the order of COLUMNS, and who has left."""
    rng = np.random.default_rng(seed)
    country = rng.choice(len(COUNTRIES), count, p=[0.1, 0.1, 0.1, 0.45, 0.25])
    months = rng.gamma(2.0, 12.0, count)
    tickets = rng.poisson(1.2, count)
    price = rng.choice([9.0, 19.0, 49.0], count, p=[0.5, 0.35, 0.15])
    usage = rng.beta(2.0, 2.0, count)
    discount = rng.random(count) < 0.3
    annoyed = 2.0 * (tickets >= 3) + 3.5 * (usage < 0.25) * (price > 9) + 1.5 * (months < 6)
    logit = -4.6 + annoyed - 2.0 * discount * (months > 6) + 0.5 * (COUNTRIES[country] == "Spain")
    left = rng.random(count) < 1 / (1 + np.exp(-logit))
    return np.arange(count) + 100_000, np.column_stack([country, months, tickets, price, usage, discount]), left


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--depth", type=int, default=3)
    parser.add_argument("--iterations", type=int, default=80)
    parser.add_argument("--learning-rate", type=float, default=0.08)
    args = parser.parse_args()

    ids, X, y = customers(16_000)
    ids_train, ids_test, X_train, X_test, y_train, y_test = train_test_split(
        ids, X, y, test_size=0.3, stratify=y, random_state=0
    )
    print(f"{len(ids_train):,} customers to learn from, of whom {y_train.mean():.1%} have left")

    model = HistGradientBoostingClassifier(
        max_depth=args.depth,
        max_iter=args.iterations,
        learning_rate=args.learning_rate,
        categorical_features=[COLUMNS.index("country")],
        random_state=0,
    )
    model.fit(X_train, y_train)
    joblib.dump(model, "churn.joblib")

    risk = model.predict_proba(X_test)[:, 1]
    country = COUNTRIES[X_test[:, COLUMNS.index("country")].astype(int)]
    print(f"log loss {log_loss(y_test, risk):.4f}, AUC {roc_auc_score(y_test, risk):.3f}")
    print(f"average precision {average_precision_score(y_test, risk):.3f}")
    for name in COUNTRIES:
        here = country == name
        print(f"{name:10} {y_test[here].mean():.1%} left, {risk[here].mean():.1%} expected")
    print("call first:", *ids_test[np.argsort(-risk)[:5]])


if __name__ == "__main__":
    main()
