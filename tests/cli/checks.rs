//! Checking pictures, leaving some out, and what becomes of a score when test pictures leak.

use super::scene::scene;
use super::*;

fn copy(root: &Path, from: &str, to: &str) {
    std::fs::copy(root.join("set").join(from), root.join("set").join(to)).expect("copied");
}

/// Pictures that differ, two classes, and a test folder of four of which two leak.
fn leaking() -> TempDir {
    let root = tempfile::tempdir().expect("a temporary folder");
    for (class, shade) in [("dark", 40_u8), ("light", 170)] {
        for (part, count) in [("train", 12_u32), ("test", 2)] {
            let folder = root.path().join("set").join(part).join(class);
            std::fs::create_dir_all(&folder).expect("made");
            for i in 0..count {
                let seed = u64::from(shade) << 32 | u64::from(part == "test") << 31 | u64::from(i);
                let mut picture = scene(seed, 48, 36);
                picture.iter_mut().for_each(|v| *v = shade + *v / 4);
                picture.save(folder.join(format!("{i}.png"))).expect("written");
            }
        }
    }
    copy(root.path(), "train/dark/3.png", "test/dark/0.png");
    copy(root.path(), "train/light/4.png", "test/light/1.png");
    root
}

fn json(root: &Path, file: &str) -> serde_json::Value {
    let text = std::fs::read_to_string(root.join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn check_says_what_it_found_and_draws_the_pairs() {
    let root = leaking();
    let root = root.path();
    let before = std::fs::read(root.join("set/train/dark/3.png")).expect("read");
    let printed = succeed(root, &["check", "set"]);
    assert!(printed.contains("2 of 4 test pictures stand among the training pictures too"), "{printed}");
    assert!(printed.contains("train/dark/3.png = test/dark/0.png"), "{printed}");
    let report = json(root, "checks/set-1/check.json");
    assert_eq!(report["leaks"]["test"], serde_json::json!(["test/dark/0.png", "test/light/1.png"]));
    let sheet = image::open(root.join("checks/set-1/leaks-1.png")).expect("a picture").into_rgb8();
    assert!(sheet.width() > 900 && sheet.pixels().any(|pixel| pixel.0 != [255; 3]));
    assert_eq!(std::fs::read(root.join("set/train/dark/3.png")).expect("read"), before);

    succeed(root, &["check", "set", "--out", "found"]);
    assert!(root.join("found/check.json").exists());
    assert!(fail(root, &["check", "set", "--out", "found"]).contains("nothing is ever overwritten"));
    let message = fail(root, &["check", "set", "--strict"]);
    assert!(message.contains("--strict") && message.contains("2 of 4"), "{message}");
    let printed: serde_json::Value = serde_json::from_str(&succeed(root, &["check", "set", "--json"])).expect("JSON");
    assert_eq!(printed["leaks"], report["leaks"]);
    assert!(fail(root, &["check", "nowhere"]).contains("there is no such"));
}

#[test]
fn scores_are_told_apart_when_pictures_leak() {
    if no_adapter() {
        return;
    }
    let root = leaking();
    let root = root.path();
    let printed = train(root, "leaky", &["--epochs", "1"]);
    assert!(printed.contains("warning  2 of 4 test pictures"), "{printed}");
    assert!(printed.contains("leaked  ") && printed.contains("clean  "), "{printed}");
    assert!(root.join("leaky/check.json").exists() && root.join("leaky/leaks-1.png").exists());
    let printed = succeed(root, &["evaluate", "leaky"]);
    assert!(printed.contains("% of 2 (95 % interval") && printed.contains("never seen"), "{printed}");
    let printed: serde_json::Value =
        serde_json::from_str(&succeed(root, &["evaluate", "leaky", "--json"])).expect("JSON");
    let images = |part: &str| printed["leakage"][part]["images"].as_u64();
    assert_eq!((images("leaked"), images("clean")), (Some(2), Some(2)));

    let message = fail(root, &[&TINY[..], &["strict", "--strict"]].concat());
    assert!(message.contains("2 of 4 test pictures") && !root.join("strict").exists(), "{message}");
    let printed = train(root, "unchecked", &["--epochs", "1", "--no-check"]);
    assert!(!printed.contains("warning") && !root.join("unchecked/check.json").exists(), "{printed}");
}

#[test]
fn leaks_and_lists_are_left_out_also_of_a_run_that_goes_on() {
    if no_adapter() {
        return;
    }
    let root = leaking();
    let root = root.path();
    let excluded = |run: &str| std::fs::read_to_string(root.join(run).join("excluded.txt")).expect("read");
    let printed = train(root, "test", &["--epochs", "1", "--exclude-leaks", "test-wins", "--strict"]);
    assert!(printed.contains("22 to train, 4 to test") && !printed.contains("leaked  "), "{printed}");
    assert_eq!(excluded("test"), "train/dark/3.png\ntrain/light/4.png\n");
    assert!(!succeed(root, &["evaluate", "test"]).contains("leaked  "));
    let printed = succeed(root, &["train", "--resume", "test", "--epochs", "2"]);
    assert!(printed.contains("22 to train, 4 to test"), "{printed}");

    let printed = train(root, "train", &["--epochs", "1", "--exclude-leaks", "train-wins"]);
    assert!(printed.contains("24 to train, 2 to test"), "{printed}");
    assert!(succeed(root, &["evaluate", "train"]).starts_with("2 pictures"));

    std::fs::write(root.join("list.txt"), "# not these\ntrain/dark/0.png\nset/test/light/0.png\nnowhere.png\n")
        .expect("written");
    let printed = train(root, "list", &["--epochs", "1", "--exclude-list", "list.txt"]);
    assert!(printed.contains("23 to train, 3 to test") && printed.contains("nowhere.png"), "{printed}");
    assert_eq!(excluded("list"), "nowhere.png\ntest/light/0.png\ntrain/dark/0.png\n");

    for (i, class) in ["dark", "light"].into_iter().enumerate() {
        copy(root, &format!("train/{class}/5.png"), &format!("test/{class}/{i}.png"));
        copy(root, &format!("train/{class}/6.png"), &format!("test/{class}/{}.png", 1 - i));
    }
    let message = fail(root, &[&TINY[..], &["none", "--exclude-leaks", "train-wins"]].concat());
    assert!(message.contains("every test picture was left out") && message.contains("test-wins"), "{message}");
}
