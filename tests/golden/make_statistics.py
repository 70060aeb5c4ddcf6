"""Reference figures of scikit-learn, statsmodels and scipy for the statistics of a report.

Run: pip install scikit-learn statsmodels scipy; python make_statistics.py
Writes statistics.json beside this script.
"""
import json, pathlib
import numpy as np, scipy.stats
from sklearn.calibration import calibration_curve
from sklearn.metrics import confusion_matrix, f1_score, precision_recall_fscore_support
from statsmodels.stats.proportion import proportion_confint

N, CLASSES = 90, 4
rng = np.random.default_rng(11)
labels = rng.choice(CLASSES, N, p=[0.4, 0.3, 0.2, 0.1])
logits = rng.normal(0, 1, (N, CLASSES)) + 1.6 * np.eye(CLASSES)[labels]
probabilities = np.exp(1.5 * logits) / np.exp(1.5 * logits).sum(1, keepdims=True)
probabilities = probabilities.astype("float32").astype("float64")
said = probabilities.argmax(1)

precision, recall, f1, support = precision_recall_fscore_support(labels, said, zero_division=0)
confusion = confusion_matrix(labels, said)
hits = np.diag(confusion)
wilson = lambda hits, counts: [list(proportion_confint(h, c, method="wilson")) for h, c in zip(hits, counts)]

def f1_of(labels, said, c):
    """scikit-learn's F1 of a class, over the last axis, so that scipy can resample many at once."""
    hit = ((labels == c) & (said == c)).sum(-1)
    total = (labels == c).sum(-1) + (said == c).sum(-1)
    return np.where(total > 0, 2 * hit / np.maximum(total, 1), 0.0)

for c in range(CLASSES):
    assert abs(f1_of(labels, said, c) - f1[c]) < 1e-12

def bootstrap(statistic):
    found = scipy.stats.bootstrap((labels, said), statistic, paired=True, vectorized=True, n_resamples=200_000,
                                  batch=20_000, method="percentile", rng=np.random.default_rng(5))
    return list(found.confidence_interval)

f1_intervals = [bootstrap(lambda l, s, axis=-1, c=c: f1_of(l, s, c)) for c in range(CLASSES)]
macro = bootstrap(lambda l, s, axis=-1: sum(f1_of(l, s, c) for c in range(CLASSES)) / CLASSES)

confidence, right = probabilities.max(1), said == labels
# The curve leaves out empty bins; their pictures are counted as it counts them.
share, mean = calibration_curve(right, confidence, n_bins=10, strategy="uniform")
counts = np.bincount(np.searchsorted(np.linspace(0, 1, 11)[1:-1], confidence), minlength=10)
ece = float((np.abs(share - mean) * counts[counts > 0]).sum() / N)
chance = []
bins = np.searchsorted(np.linspace(0, 1, 11)[1:-1], confidence)
for _ in range(20_000):
    drawn = rng.random(N) < confidence
    chance.append(np.abs(np.bincount(bins, drawn - confidence, minlength=10)).sum() / N)

out = dict(
    labels=labels.tolist(), probabilities=probabilities.tolist(), confusion=confusion.tolist(),
    precision=precision.tolist(), recall=recall.tolist(), f1=f1.tolist(), macro_f1=f1_score(labels, said, average="macro"),
    precision_wilson=wilson(hits, confusion.sum(0)), recall_wilson=wilson(hits, support),
    accuracy_wilson=list(proportion_confint(hits.sum(), N, method="wilson")),
    f1_bootstrap=f1_intervals, macro_f1_bootstrap=macro,
    bin_counts=counts.tolist(), bin_accuracy=share.tolist(), bin_confidence=mean.tolist(), expected_calibration_error=ece,
    error_by_chance=[float(np.mean(chance)), float(np.quantile(chance, 0.95))],
)
path = pathlib.Path(__file__).with_name("statistics.json")
path.write_text(json.dumps(out, indent=1) + "\n")
print({k: v for k, v in out.items() if k not in ("labels", "probabilities")})
