//! From pictures to a run and its answers; what can go wrong on the way.

use std::path::PathBuf;

use super::*;

#[test]
fn train_evaluate_and_predict() {
    if no_adapter() {
        return;
    }
    let root = pictures();
    let root = root.path();
    let printed = train(root, "run", &["--epochs", "3"]);
    assert!(printed.contains("epoch 3/3") && printed.contains("val_accuracy"), "{printed}");
    for name in ["settings.toml", "history.csv", "curves.png", "model.safetensors", "best.safetensors"] {
        assert!(root.join("run").join(name).exists(), "{name} is missing");
    }
    let leftovers = root
        .join("run")
        .read_dir()
        .expect("read")
        .filter(|e| e.as_ref().is_ok_and(|e| e.file_name().to_string_lossy().contains("partial")));
    assert_eq!(leftovers.count(), 0);
    let history = std::fs::read_to_string(root.join("run/history.csv")).expect("read");
    assert_eq!(history.lines().count(), 4, "{history}");

    let printed = succeed(root, &["evaluate", "run"]);
    assert!(
        printed.contains("precision") && printed.contains("confusion matrix") && printed.contains("dark"),
        "{printed}"
    );
    let json: serde_json::Value = serde_json::from_str(&succeed(root, &["evaluate", "run", "--json"])).expect("JSON");
    assert_eq!(json["images"], 10);
    let last = history.lines().last().expect("a line").split(',').collect::<Vec<_>>();
    let said: f64 = last[4].parse().expect("a number");
    assert!(
        (json["accuracy"].as_f64().expect("a number") - said).abs() < 1e-6,
        "evaluate repeats the last epoch's score"
    );
    let loss: f64 = last[3].parse().expect("a number");
    assert!((json["loss"].as_f64().expect("a number") - loss).abs() < 1e-4);

    let printed = succeed(root, &["predict", "run", "set/test/light/test 1é.png", "set/test/dark", "--no-shap"]);
    assert_eq!(printed.lines().count(), 6, "{printed}");
    let json = succeed(root, &["predict", "run", "set/test", "--json", "--no-shap"]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    for image in json.as_array().expect("a list") {
        let probabilities = image["probabilities"].as_object().expect("classes");
        let sum: f64 = probabilities.values().filter_map(|p| p.as_f64()).sum();
        assert!((sum - 1.0).abs() < 1e-5 && probabilities.len() == 2);
    }
}

#[test]
fn the_same_seed_gives_the_same_bits_however_the_pictures_are_kept() {
    if no_adapter() {
        return;
    }
    let root = pictures();
    let root = root.path();
    for (out, more) in [("a", &["--seed", "5"][..]), ("b", &["--seed", "5"]), ("c", &["--seed", "6"])] {
        train(root, out, &[&["--epochs", "2"], more].concat());
    }
    train(root, "streamed", &["--epochs", "2", "--seed", "5", "--image-memory", "0"]);
    let file = |run: &str| std::fs::read(root.join(run).join("model.safetensors")).expect("read");
    assert!(file("a") == file("b"), "the same seed gave other bytes");
    assert!(file("a") == file("streamed"), "streaming the pictures changed the result");
    assert_ne!(weights(root, "a"), weights(root, "c"), "another seed gave the same weights");
}

#[test]
fn every_optimizer_trains() {
    if no_adapter() {
        return;
    }
    let root = pictures();
    for (out, more) in [
        ("sgd", &["--optimizer", "sgd", "--momentum", "0.9", "--nesterov"][..]),
        ("rmsprop", &["--optimizer", "rmsprop", "--no-augment"]),
    ] {
        train(root.path(), out, &[&["--epochs", "1"], more].concat());
        let Weights(tensors) = weights(root.path(), out);
        assert!(tensors.iter().all(|t| t.data.iter().all(|v| v.is_finite())));
    }
}

#[test]
fn mistakes_are_explained_and_nothing_is_overwritten() {
    if no_adapter() {
        return;
    }
    let root = pictures();
    let root = root.path();
    std::fs::create_dir_all(root.join("taken")).expect("made");
    std::fs::write(root.join("taken/letter.txt"), "mine").expect("written");
    let said = |arguments: &[&str], expected: &str| {
        let message = fail(root, arguments);
        assert!(message.contains(expected), "{arguments:?}: {message}");
    };
    said(&["train", "--data", "nowhere"], "there is no such");
    said(&["train", "--data", "set/train/dark"], "no class folders");
    said(&["train", "--data", "set", "--out", "taken"], "nothing is ever overwritten");
    said(&["train", "--data", "set", "--epoch", "3"], "--epochs");
    said(&["train", "--data", "set", "--device", "no such card"], "glowworm devices");
    said(&["train", "--data", "set", "--learning-rate", "-1"], "--learning-rate");
    said(&["train", "--data", "set", "--nesterov", "--optimizer", "sgd"], "--momentum");
    said(&["train", "--data", "set", "--image-size", "4096", "--batch-size", "512"], "fits");
    said(&["evaluate", "nowhere"], "no such run folder");
    said(&["evaluate", "taken"], "model.safetensors");
    assert_eq!(std::fs::read_to_string(root.join("taken/letter.txt")).expect("read"), "mine");

    train(root, "run", &["--epochs", "1"]);
    said(&["predict", "run", "nothing.png"], "no such file");
    std::fs::write(root.join("text.png"), "no picture").expect("written");
    said(&["predict", "run", "text.png"], "text.png");
    std::fs::write(root.join("run/model.safetensors"), "torn").expect("written");
    said(&["predict", "run", "set/test"], "not a model");
}

#[test]
fn a_loss_that_is_not_finite_stops_the_run_and_says_what_helps() {
    if no_adapter() {
        return;
    }
    let root = pictures();
    let arguments = [&TINY[..], &["run", "--epochs", "9", "--optimizer", "sgd", "--learning-rate", "1e12"]].concat();
    let message = fail(root.path(), &arguments);
    assert!(message.contains("--learning-rate") && message.contains("step"), "{message}");
}

#[test]
fn broken_pictures_are_named_and_skipped_or_refused() {
    if no_adapter() {
        return;
    }
    let root = pictures();
    let broken: PathBuf = root.path().join("set/train/dark/broken.jpg");
    std::fs::write(&broken, "not a picture").expect("written");
    let printed = train(root.path(), "run", &["--epochs", "1"]);
    assert!(printed.contains("skipped") && printed.contains("broken.jpg"), "{printed}");
    let message = fail(root.path(), &[&TINY[..], &["strict", "--strict"]].concat());
    assert!(message.contains("broken.jpg"), "{message}");
}
