"""KDEFClassifier without scikit-learn, and by scikit-learn's own checks where it is installed."""

import pickle
import sys

import kdef

X = {"color": ["red", "blue", None, "green"] * 50, "size": [1.5, 2.5, float("nan"), 4.0] * 50, "count": [1, 2, 1, 2] * 50}
y = ["no", "yes", "no", "yes"] * 50
small = {"students": 2, "hidden_units": (16,), "epochs": 20, "batch_size": 32}

model = kdef.KDEFClassifier(**small).fit(X, y)
proba = model.predict_proba(X)
assert list(model.classes_) == ["no", "yes"] and model.n_features_in_ == 3
assert all(abs(row[0] + row[1] - 1) < 1e-6 for row in proba)
assert model.score(X, y) == 1.0, model.score(X, y)
assert list(model.predict(X)) == y
again = kdef.KDEFClassifier(**small).fit(X, y).predict_proba(X)
assert [list(row) for row in again] == [list(row) for row in proba], "the same seed, the same bits"
other = kdef.KDEFClassifier(**small, random_state=1).fit(X, y).predict_proba(X)
assert [list(row) for row in other] != [list(row) for row in proba]
kept = pickle.loads(pickle.dumps(model)).predict_proba(X)
assert [list(row) for row in kept] == [list(row) for row in proba], "a pickle predicts the same"
shuffled = {"count": X["count"], "unused": [0] * 200, "color": X["color"], "size": X["size"]}
assert list(model.predict({name: shuffled[name] for name in ("size", "color", "count")})) == y, "columns by name"
rows = [list(row) for row in zip(*X.values())]
assert list(kdef.KDEFClassifier(**small).fit(rows, y).predict(rows)) == y, "a list of rows"
assert kdef.KDEFClassifier(**small).get_params()["students"] == 2
kdef.KDEFClassifier().set_params(epochs=1)


def refused(call, *words):
    try:
        call()
    except ValueError as e:
        assert all(word in str(e) for word in words), e
    else:
        raise AssertionError(f"not refused: {words}")


refused(lambda: kdef.KDEFClassifier().fit(X, ["a", "b", "c", "d"] * 50), "Only binary classification")
refused(lambda: kdef.KDEFClassifier().fit(X, y[:-1]), "200 rows", "199")
refused(lambda: kdef.KDEFClassifier().fit(X, ["no"] * 200), "1 class")
refused(lambda: kdef.KDEFClassifier().predict(X), "not fitted")
refused(lambda: model.predict({"color": ["red"]}), "size")
refused(lambda: kdef.KDEFClassifier(numeric=["weight"]).fit(X, y), "weight")
refused(lambda: kdef.KDEFClassifier(settings={"epoch": 3}).fit(X, y), "epochs")
refused(lambda: kdef.KDEFClassifier(**small, numeric=["size"]).fit(dict(X, size=[float("inf")] * 200), y), "infinity")
refused(lambda: kdef.KDEFClassifier(**small, validation_fraction=10).fit(X, y), "validation_fraction", "10")
refused(lambda: kdef.KDEFClassifier(**small, numeric=["color"]).fit(X, y), "column color, row ", "is not a number")

try:
    from sklearn.utils.estimator_checks import check_estimator
except ImportError:
    print("there is no scikit-learn")
    sys.exit(77)

results = check_estimator(kdef.KDEFClassifier(**small), on_skip=None, on_fail=None)
for result in results:
    if result["status"] != "passed":
        print(f"{result['status']}: {result['check_name']}: {result['exception']!r}"[:600])
counts = {status: sum(r["status"] == status for r in results) for status in ("passed", "skipped", "failed")}
print("checks of scikit-learn:", counts)
sys.exit(1 if counts["failed"] or counts["passed"] < 40 else 0)
