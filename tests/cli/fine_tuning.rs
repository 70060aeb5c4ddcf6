//! Runs that begin with the weights of others.

use super::interruptions::assert_same;
use super::*;

/// Trains from another run, at its image size.
fn tune(root: &Path, out: &str, more: &[&str]) -> String {
    let arguments = ["train", "--data", "set", "--batch-size", "7", "--no-report", "--out", out];
    succeed(root, &[&arguments[..], more].concat())
}

/// How far the tensors are apart, by their names: files have them in an order of their own.
fn apart(a: &Weights, b: &Weights) -> Vec<(String, f32)> {
    let far = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    let of = |name: &str| b.0.iter().find(|tensor| tensor.name == name).expect("the same names");
    a.0.iter().map(|tensor| (tensor.name.clone(), far(&tensor.data, &of(&tensor.name).data))).collect()
}

/// The names of the tensors that are the same in both runs, to the last bit.
fn kept(root: &Path, [a, b]: [&str; 2]) -> Vec<String> {
    let (Weights(a), Weights(b)) = (weights(root, a), weights(root, b));
    a.into_iter().filter(|tensor| b.contains(tensor)).map(|tensor| tensor.name).collect()
}

#[test]
fn weights_of_another_run_are_gone_on_with_and_frozen_layers_keep_them() {
    if no_adapter() {
        return;
    }
    let root = pictures();
    let root = root.path();
    train(root, "base", &["--epochs", "2"]);
    // So small a rate changes nothing to speak of.
    let printed = tune(root, "same", &["--from", "base", "--epochs", "1", "--learning-rate", "1e-12"]);
    assert!(printed.contains("weights  of base\n"), "{printed}");
    for (name, far) in apart(&weights(root, "base"), &weights(root, "same")) {
        assert!(far < 1e-6, "{name}: {far}");
    }
    let options = ["--from", "base/best.safetensors", "--freeze", "2", "--epochs"];
    tune(root, "tuned", &[&options[..], &["3"]].concat());
    let best = Weights::load(&root.join("base/best.safetensors")).expect("a model").0;
    let frozen = |name: &str| name.starts_with("conv1") || name.starts_with("conv2");
    for (name, far) in apart(&best, &weights(root, "tuned")) {
        assert_eq!(far == 0.0, frozen(&name), "{name}: {far}");
    }
    let settings = std::fs::read_to_string(root.join("tuned/settings.toml")).expect("read");
    assert!(settings.contains("image_size = 16") && settings.contains("freeze = 2"), "{settings}");

    // It goes on without the run that it came from, also where it has to begin anew.
    tune(root, "resumed", &[&options[..], &["1"]].concat());
    std::fs::rename(root.join("base"), root.join("elsewhere")).expect("renamed");
    succeed(root, &["train", "--resume", "resumed", "--epochs", "3", "--no-report"]);
    assert_same(&root.join("tuned"), &root.join("resumed"), "resumed");
    for name in ["checkpoint.safetensors", "checkpoint-before.safetensors"] {
        let _ = std::fs::remove_file(root.join("resumed").join(name));
    }
    succeed(root, &["train", "--resume", "resumed", "--no-report"]);
    assert_same(&root.join("tuned"), &root.join("resumed"), "from the beginning");
}

#[test]
fn other_classes_get_a_new_last_layer_and_other_networks_are_refused() {
    if no_adapter() {
        return;
    }
    let root = pictures();
    let root = root.path();
    train(root, "base", &["--epochs", "1"]);
    for part in ["train", "test"] {
        let set = root.join("set").join(part);
        std::fs::rename(set.join("dark"), set.join("black")).expect("renamed");
        std::fs::create_dir_all(set.join("grey")).expect("made");
        RgbImage::from_pixel(20, 16, Rgb([128; 3])).save(set.join("grey/1.png")).expect("written");
    }
    let printed = tune(root, "new", &["--from", "base", "--freeze", "4", "--epochs", "1", "--no-check"]);
    let expected =
        "but for the last layer (dense2), which is new: the classes were dark, light, and now are black, grey, light";
    assert!(printed.contains(expected), "{printed}");
    assert!(printed.contains("frozen   all layers up to dense1 keep their weights"), "{printed}");
    assert_eq!(kept(root, ["base", "new"]).len(), 8, "all but the last layer were to keep their weights");
    for (options, expected) in [
        (&["--from", "base", "--image-size", "32"][..], "leave --image-size away"),
        (&["--from", "base", "--freeze", "5"], "it has 4 before its last"),
        (&["--freeze", "2"], "--from"),
        (&["--from", "set"], "it is not a run folder"),
        (&["--from", "nowhere"], "nowhere"),
        (&["--resume", "base", "--from", "new"], "cannot be used with"),
    ] {
        let message = fail(root, &[&["train", "--data", "set", "--out", "none"], options].concat());
        assert!(message.contains(expected) && !root.join("none").exists(), "{options:?}: {message}");
    }
}

#[test]
fn batch_normalisation_that_is_frozen_keeps_its_statistics_and_runs_with_it_can_be_resumed() {
    if no_adapter() {
        return;
    }
    let root = pictures();
    let root = root.path();
    let options = ["--model", "bugnet", "--image-size", "32", "--epochs"];
    tune(root, "whole", &[&options[..], &["2"]].concat());
    tune(root, "base", &[&options[..], &["1"]].concat());
    let tuned = ["--from", "base", "--freeze", "1", "--epochs", "2"];
    tune(root, "tuned", &tuned);
    let first = |name: &String| name.starts_with("conv1.") || name.starts_with("norm1.");
    let kept = kept(root, ["base", "tuned"]);
    assert!(kept.len() == 6 && kept.iter().all(first), "{kept:?}");
    let settings = std::fs::read_to_string(root.join("tuned/settings.toml")).expect("read");
    assert!(settings.contains("model = \"bugnet\""), "{settings}");
    succeed(root, &["train", "--resume", "base", "--epochs", "2", "--no-report"]);
    assert_same(&root.join("whole"), &root.join("base"), "resumed");
}
