//! The statistics of a report against the figures of scikit-learn, statsmodels and scipy (`golden/make_statistics.py`).

use glowworm::report::Evaluation;
use serde_json::Value;

fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(values) => values.iter().flat_map(numbers).collect(),
        other => vec![other.as_f64().expect("a number")],
    }
}

#[test]
fn figures_and_intervals_agree_with_the_recorded_ones() {
    let golden: Value = serde_json::from_str(include_str!("golden/statistics.json")).expect("JSON");
    let of = |name: &str| numbers(&golden[name]);
    let labels: Vec<usize> = of("labels").into_iter().map(|l| l as usize).collect();
    let rows: Vec<Vec<f32>> =
        of("probabilities").chunks(4).map(|row| row.iter().map(|p| *p as f32).collect()).collect();
    let names = ["a", "b", "c", "d"].map(String::from);
    let found = Evaluation::new(&names, &labels, &rows);
    let close = |name: &str, found: Vec<f64>, tolerance: f64| {
        let expected = of(name);
        assert_eq!(found.len(), expected.len(), "{name}");
        for (f, e) in found.iter().zip(&expected) {
            assert!((f - e).abs() <= tolerance, "{name}: {found:?} is not {expected:?}");
        }
    };
    let pair = |(low, high): (f64, f64)| [low, high];
    let classes = &found.classes;
    let figures = found.confusion.iter().flatten().map(|n| *n as f64).collect();
    close("confusion", figures, 0.0);
    close("precision", classes.iter().map(|c| c.precision).collect(), 1e-12);
    close("recall", classes.iter().map(|c| c.recall).collect(), 1e-12);
    close("f1", classes.iter().map(|c| c.f1).collect(), 1e-12);
    close("macro_f1", vec![found.macro_average[2]], 1e-12);
    close("precision_wilson", classes.iter().flat_map(|c| pair(c.precision_interval)).collect(), 1e-6);
    close("recall_wilson", classes.iter().flat_map(|c| pair(c.recall_interval)).collect(), 1e-6);
    close("accuracy_wilson", pair(found.accuracy_interval).to_vec(), 1e-6);
    // 2,000 resamples against 200,000; with 8 pictures of a class the values of F1 lie some hundredths apart.
    close("f1_bootstrap", classes.iter().flat_map(|c| pair(c.f1_interval)).collect(), 0.04);
    close("macro_f1_bootstrap", pair(found.macro_f1_interval).to_vec(), 0.015);

    let calibration = &found.calibration;
    let filled = || calibration.bins.iter().filter(|b| b.count > 0);
    close("bin_counts", calibration.bins.iter().map(|b| b.count as f64).collect(), 0.0);
    close("bin_accuracy", filled().map(|b| b.accuracy).collect(), 1e-12);
    close("bin_confidence", filled().map(|b| b.confidence).collect(), 1e-12);
    close("expected_calibration_error", vec![calibration.error], 1e-12);
    close("error_by_chance", pair(calibration.by_chance).to_vec(), 0.01);
}
