//! Augmentation by a file: what it makes of pictures, and runs that use it.

use super::*;

const STRONG: &str = "flip = 0.5\nrotation = 0.1\ntranslation = 0.1\nbrightness = 0.2\nsaturation = 0.3\nhue = 0.1\n\
    crop = { area = 0.5 }\nerase = { probability = 0.5 }\nmixup = 0.2\ncutmix = 1.0\n";

#[test]
fn a_run_with_every_ingredient_is_resumed_streamed_and_repeated_with_the_same_bits() {
    if no_adapter() {
        return;
    }
    let root = pictures();
    let root = root.path();
    std::fs::write(root.join("strong.toml"), STRONG).expect("written");
    let strong = ["--augmentation", "strong.toml", "--epochs", "2", "--checkpoint-every", "4"];
    train(root, "whole", &strong);
    train(root, "plain", &["--epochs", "2"]);
    train(root, "streamed", &[&strong[..], &["--image-memory", "0"]].concat());
    train(root, "resumed", &strong);
    let file = |run: &str, name: &str| root.join(run).join(name);
    let model = |run: &str| std::fs::read(file(run, "model.safetensors")).expect("read");
    assert!(model("whole") != model("plain"), "the augmentation changed nothing");
    assert!(model("whole") == model("streamed"), "streaming the pictures changed the result");
    // From the checkpoint before the last, which stands within the second epoch.
    std::fs::write(file("resumed", "checkpoint.safetensors"), "torn").expect("written");
    let printed = succeed(root, &["train", "--resume", "resumed", "--no-report"]);
    assert!(printed.contains("resumed  in epoch 2, after 8 steps"), "{printed}");
    assert!(model("whole") == model("resumed"), "going on from within an epoch changed the result");
}

#[test]
fn a_sheet_shows_what_augmentation_does_and_mistakes_are_named() {
    if no_adapter() {
        return;
    }
    let root = pictures();
    let root = root.path();
    std::fs::write(root.join("strong.toml"), STRONG).expect("written");
    let preview = |more: &[&str]| {
        succeed(root, &[&["preview", "--data", "set", "--image-size", "16", "--count", "3"], more].concat())
    };
    assert!(preview(&[]).contains("preview-1.png"));
    assert!(preview(&["--augmentation", "strong.toml"]).contains("preview-2.png"));
    let sheet = |name: &str| image::open(root.join(name)).expect("a picture").into_rgb8();
    assert!(sheet("preview-1.png") != sheet("preview-2.png"), "the augmentation changed nothing");
    let again = fail(root, &["preview", "--data", "set", "--out", "preview-1.png"]);
    assert!(again.contains("nothing is ever overwritten"), "{again}");
    for (text, expected) in [("hue = 0.7", "hue = 0.7"), ("flip = 0.5\nflop = 1", "flop"), ("crop = 1", "line 1")] {
        std::fs::write(root.join("wrong.toml"), text).expect("written");
        let message = fail(root, &[&TINY[..], &["run", "--augmentation", "wrong.toml"]].concat());
        assert!(message.contains(expected) && message.contains("wrong.toml"), "{message}");
    }
}

#[test]
fn answers_about_a_picture_and_its_mirror_image_are_averaged() {
    if no_adapter() {
        return;
    }
    let root = pictures();
    let root = root.path();
    train(root, "run", &["--epochs", "1", "--no-augment"]);
    std::fs::create_dir(root.join("two")).expect("made");
    let picture = image::open(root.join("set/test/dark/test 1é.png")).expect("a picture").into_rgb8();
    picture.save(root.join("two/a.png")).expect("written");
    image::imageops::flip_horizontal(&picture).save(root.join("two/b.png")).expect("written");
    let answers = |more: &[&str]| -> Vec<f64> {
        let json = succeed(root, &[&["predict", "run", "two", "--json", "--no-shap"], more].concat());
        let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        let all = json.as_array().expect("a list");
        all.iter().map(|image| image["probabilities"]["dark"].as_f64().expect("a number")).collect()
    };
    let (plain, averaged) = (answers(&[]), answers(&["--flip-average"]));
    assert!((plain[0] - plain[1]).abs() > 1e-6, "the picture is its own mirror image: {plain:?}");
    let mean = (plain[0] + plain[1]) / 2.0;
    assert!(averaged.iter().all(|p| (p - mean).abs() < 1e-6), "{plain:?} {averaged:?}");
    let loss = |more: &[&str]| -> f64 {
        let json = succeed(root, &[&["evaluate", "run", "--json"], more].concat());
        serde_json::from_str::<serde_json::Value>(&json).expect("JSON")["loss"].as_f64().expect("a number")
    };
    assert!((loss(&[]) - loss(&["--flip-average"])).abs() > 1e-9);
}
