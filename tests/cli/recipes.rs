//! Recipes, and what they are made of.

use super::*;

fn settings(root: &Path, run: &str) -> toml::Table {
    std::fs::read_to_string(root.join(run).join("settings.toml")).expect("read").parse().expect("TOML")
}

fn bytes(root: &Path, run: &str, name: &str) -> Vec<u8> {
    std::fs::read(root.join(run).join(name)).expect("read")
}

const MINE: &str = "\
epochs = 2
optimizer = \"adamw\"
learning_rate = 0.002
weight_decay = 0.05
schedule = \"cosine\"
warmup = 0.2
label_smoothing = 0.1
class_weights = \"balanced\"
average = 0.9
";

#[test]
fn a_recipe_is_followed_kept_and_taken_up_again() {
    if no_adapter() {
        return;
    }
    let root = pictures();
    let root = root.path();
    std::fs::write(root.join("mine.toml"), MINE).expect("written");
    let printed = train(root, "run", &["--recipe", "mine.toml", "--epochs", "3"]);
    assert!(printed.contains("recipe   mine.toml, but batch_size 7, epochs 3, image_size 16"), "{printed}");
    let kept = settings(root, "run");
    assert_eq!((kept["recipe"].as_str(), kept["epochs"].as_integer()), (Some("mine.toml"), Some(3)));
    assert_eq!((kept["weight_decay"].as_float(), kept["average"].as_float()), (Some(0.05), Some(0.9)));
    assert_eq!(kept["optimizer"]["name"].as_str(), Some("adamw"));
    assert_eq!(kept["schedule"]["name"].as_str(), Some("cosine"));
    // 18 steps: what the rate was at the end of each epoch.
    let history = std::fs::read_to_string(root.join("run/history.csv")).expect("read");
    let rates: Vec<f64> =
        history.lines().skip(1).map(|l| l.split(',').nth(6).expect("a rate").parse().expect("a number")).collect();
    assert!(rates.len() == 3 && rates[0] > rates[1] && rates[1] > rates[2] && rates[2] < 1e-4, "{rates:?}");

    // The same once more in two halves, with a checkpoint in the middle of an epoch; the recipe is not read again.
    std::fs::write(root.join("halves.toml"), MINE.replace("epochs = 2", "epochs = 3")).expect("written");
    train(root, "whole", &["--recipe", "halves.toml"]);
    assert_eq!(bytes(root, "whole", "model.safetensors"), bytes(root, "run", "model.safetensors"));
    train(root, "parts", &["--recipe", "halves.toml", "--checkpoint-every", "4"]);
    std::fs::remove_file(root.join("halves.toml")).expect("removed");
    std::fs::remove_file(root.join("parts/checkpoint.safetensors")).expect("removed");
    succeed(root, &["train", "--no-report", "--resume", "parts"]);
    assert_eq!(bytes(root, "parts", "model.safetensors"), bytes(root, "whole", "model.safetensors"));

    // The model that is kept is the average: it answers as it did after the last epoch.
    let json: serde_json::Value = serde_json::from_str(&succeed(root, &["evaluate", "run", "--json"])).expect("JSON");
    let last: f64 =
        history.lines().last().and_then(|l| l.split(',').nth(3)).expect("a loss").parse().expect("a number");
    assert!((json["loss"].as_f64().expect("a number") - last).abs() < 1e-4, "{json} {last}");
    succeed(root, &["report", "run"]);
    let page = std::fs::read_to_string(root.join("run/report.html")).expect("read");
    assert!(page.contains("AdamW, learning rate 0.002") && page.contains("labels smoothed by 0.1"));
}

#[test]
fn built_in_recipes_train_and_answer() {
    if no_adapter() {
        return;
    }
    let root = pictures();
    let root = root.path();
    let printed = train(root, "run", &["--recipe", "best", "--epochs", "2"]);
    assert!(printed.contains("recipe   best, but") && printed.contains("epoch 2/2"), "{printed}");
    let history = std::fs::read_to_string(root.join("run/history.csv")).expect("read");
    let json: serde_json::Value = serde_json::from_str(&succeed(root, &["evaluate", "run", "--json"])).expect("JSON");
    let last: f64 =
        history.lines().last().and_then(|l| l.split(',').nth(3)).expect("a loss").parse().expect("a number");
    // The average that was tested is what is kept, running statistics and all.
    assert!((json["loss"].as_f64().expect("a number") - last).abs() < 1e-4, "{json} {last}");
    train(root, "again", &["--recipe", "best", "--epochs", "2", "--checkpoint-every", "4"]);
    std::fs::remove_file(root.join("again/checkpoint.safetensors")).expect("removed");
    succeed(root, &["train", "--no-report", "--resume", "again"]);
    assert_eq!(bytes(root, "again", "model.safetensors"), bytes(root, "run", "model.safetensors"));
}

#[test]
fn every_ingredient_changes_the_training_and_none_when_it_is_off() {
    if no_adapter() {
        return;
    }
    let root = pictures();
    let root = root.path();
    train(root, "plain", &["--epochs", "1"]);
    let plain = bytes(root, "plain", "model.safetensors");
    let off = ["--label-smoothing=0", "--weight-decay=0", "--average=0", "--schedule=constant", "--class-weights=none"];
    train(root, "off", &[&["--epochs", "1", "--early-stopping=0"], &off[..]].concat());
    assert_eq!(bytes(root, "off", "model.safetensors"), plain);
    for (name, options) in [
        ("smoothing", &["--label-smoothing", "0.1"][..]),
        ("decay", &["--weight-decay", "0.1"]),
        ("sampling", &["--sampling", "balanced"]),
        ("average", &["--average", "0.99"]),
        ("cosine", &["--schedule", "cosine"]),
        ("cycle", &["--schedule", "one-cycle", "--warmup", "0.5"]),
    ] {
        train(root, name, &[&["--epochs", "1"], options].concat());
        assert_ne!(bytes(root, name, "model.safetensors"), plain, "{name}");
    }
    // Parts are the same training up to rounding.
    let printed = train(root, "parts", &["--epochs", "1", "--part", "3"]);
    assert!(printed.contains("7 pictures in parts of 3"), "{printed}");
    let plain = weights(root, "plain");
    for got in &weights(root, "parts").0 {
        let expected = plain.0.iter().find(|tensor| tensor.name == got.name).expect("the same tensors");
        let far = got.data.iter().zip(&expected.data).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(far < 2e-3, "{}: {far}", got.name);
    }
}

#[test]
fn a_training_ends_early_with_the_model_of_its_best_epoch() {
    if no_adapter() {
        return;
    }
    let root = pictures();
    let root = root.path();
    // The test pictures have each other's labels: what is learnt makes their loss grow.
    for (from, to) in [("dark", "third"), ("light", "dark"), ("third", "light")] {
        let part = root.join("set/test");
        std::fs::rename(part.join(from), part.join(to)).expect("renamed");
    }
    let options = ["--epochs", "40", "--early-stopping", "2"];
    let printed = train(root, "run", &options);
    assert!(printed.contains("ended early; the model kept is that of epoch"), "{printed}");
    let history = std::fs::read_to_string(root.join("run/history.csv")).expect("read");
    let losses: Vec<f64> =
        history.lines().skip(1).map(|l| l.split(',').nth(3).expect("a loss").parse().expect("a number")).collect();
    let lowest = losses.iter().copied().fold(f64::INFINITY, f64::min);
    let best = losses.iter().position(|loss| *loss == lowest).expect("there is one");
    assert_eq!(losses.len(), best + 3, "{losses:?}");
    let json: serde_json::Value = serde_json::from_str(&succeed(root, &["evaluate", "run", "--json"])).expect("JSON");
    assert!((json["loss"].as_f64().expect("a number") - lowest).abs() < 1e-4, "{json} {losses:?}");
    let message = fail(root, &["train", "--no-report", "--resume", "run"]);
    assert!(message.contains("has ended early") && message.contains("--early-stopping 4"), "{message}");
    let more = ["train", "--no-report", "--resume", "run", "--early-stopping", "3", "--epochs"];
    let epochs = (losses.len() + 1).to_string();
    succeed(root, &[&more[..], &[&epochs]].concat());
    let history = std::fs::read_to_string(root.join("run/history.csv")).expect("read");
    assert_eq!(history.lines().count(), losses.len() + 2, "{history}");
}

#[test]
fn recipes_that_are_none_say_where_and_why() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let root = root.path();
    std::fs::write(root.join("typo.toml"), "epochs = 3\nlearning_rat = 0.1\n").expect("written");
    let message = fail(root, &["train", "--recipe", "typo.toml"]);
    assert!(
        message.contains("typo.toml") && message.contains("line 2") && message.contains("learning_rat"),
        "{message}"
    );
    std::fs::write(root.join("value.toml"), "# mine\nlabel_smoothing = 2.0\n").expect("written");
    let message = fail(root, &["train", "--recipe", "value.toml"]);
    assert!(message.contains("value.toml, line 2: label_smoothing = 2.0: it must be"), "{message}");
    let message = fail(root, &["train", "--recipe", "value.toml", "--label-smoothing", "3"]);
    assert!(message.contains("--label-smoothing 3.0: it must be"), "{message}");
    let message = fail(root, &["train", "--recipe", "bset"]);
    assert!(message.contains("--recipe bset") && message.contains("reference, best"), "{message}");
}
