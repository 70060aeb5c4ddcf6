//! The learning-rate range test.

use super::*;

#[test]
fn learning_rates_are_tested_with_every_optimizer_and_nothing_is_trained() {
    if no_adapter() {
        return;
    }
    let root = pictures();
    let root = root.path();
    for (out, optimizer) in [
        ("adam", &["--optimizer", "adam"][..]),
        ("sgd", &["--optimizer", "sgd", "--momentum", "0.9", "--nesterov"]),
        ("rmsprop", &["--optimizer", "rmsprop"]),
    ] {
        let printed = succeed(root, &[&TINY[..], &[out, "--find-lr"], optimizer].concat());
        let table = std::fs::read_to_string(root.join(out).join("lr.csv")).expect("a table");
        let rates: Vec<f64> = table.lines().skip(1).filter_map(|line| line.split(',').nth(1)?.parse().ok()).collect();
        assert!((25..=150).contains(&rates.len()) && rates[0] == 1e-6, "{out}: {table}");
        let factors = rates.windows(2).map(|pair| pair[1] / pair[0]);
        factors.for_each(|factor| assert!((factor - 10f64.powf(6.0 / 149.0)).abs() < 1e-4, "{out}: {factor}"));
        assert!(image::open(root.join(out).join("lr.png")).is_ok_and(|picture| picture.width() == 1000));
        // Two shades are told apart: the loss falls somewhere.
        assert!(printed.contains("falls steepest") && printed.contains("a tenth of"), "{printed}");
        assert!(root.join(out).read_dir().expect("read").count() == 2, "more than the test was kept");
    }
    let table = |run: &str| std::fs::read(root.join(run).join("lr.csv")).expect("a table");
    succeed(root, &[&TINY[..], &["again", "--find-lr"]].concat());
    assert!(table("adam") == table("again"), "the same seed gave another test");
    let message = fail(root, &[&TINY[..], &["other", "--find-lr", "--learning-rate", "0.1"]].concat());
    assert!(message.contains("cannot be used with"), "{message}");
}
