//! Cross-validation, and the wrong labels that it finds.

use std::collections::BTreeSet;

use super::scene::scene;
use super::*;

/// Two classes of twelve pictures that differ, one of which stands twice; four more to test.
fn different() -> TempDir {
    let root = tempfile::tempdir().expect("a temporary folder");
    for (class, shade) in [("dark", 30_u8), ("light", 190)] {
        for (part, count) in [("train", 12_u32), ("test", 2)] {
            let folder = root.path().join("set").join(part).join(class);
            std::fs::create_dir_all(&folder).expect("made");
            for i in 0..count {
                let seed = u64::from(shade) << 32 | u64::from(part == "test") << 31 | u64::from(i);
                let mut picture = scene(seed, 40, 32);
                picture.iter_mut().for_each(|v| *v = shade + *v / 4);
                picture.save(folder.join(format!("{i}, {class}.png"))).expect("written");
            }
        }
    }
    let folder = root.path().join("set/train/dark");
    std::fs::copy(folder.join("3, dark.png"), folder.join("again.png")).expect("copied");
    root
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The rows of an out-of-fold table of two classes: file, fold, label, said, and three numbers.
fn rows(run: &Path) -> Vec<(String, usize, String, String, [f64; 3])> {
    let table = read(&run.join("out_of_fold.csv"));
    let row = |line: &str| {
        let mut fields = line.rsplitn(7, ',').map(|field| field.trim_matches('"').to_owned()).collect::<Vec<_>>();
        fields.reverse();
        let number = |index: usize| fields[index].parse().expect("a number");
        let numbers = [number(4), number(5), number(6)];
        (fields[0].clone(), fields[1].parse().expect("a fold"), fields[2].clone(), fields[3].clone(), numbers)
    };
    table.lines().skip(1).map(row).collect()
}

#[test]
fn every_training_picture_is_held_out_once_and_the_scores_are_those_of_the_tables() {
    if no_adapter() {
        return;
    }
    let root = different();
    let root = root.path();
    let arguments = [&TINY[..], &["run", "--folds", "3", "--epochs", "2", "--background", "6"]].concat();
    let printed = succeed(root, &arguments);
    assert!(printed.contains("fold 3/3: accuracy") && printed.contains("standard deviation of 3 folds"), "{printed}");
    let run = root.join("run");
    let rows = rows(&run);
    let files: BTreeSet<&str> = rows.iter().map(|row| row.0.as_str()).collect();
    assert_eq!((rows.len(), files.len()), (25, 25));
    assert!(files.iter().all(|file| file.starts_with("train/")), "a test picture was touched");
    let fold = |file: &str| rows.iter().find(|row| row.0 == file).expect(file).1;
    assert_eq!(fold("train/dark/3, dark.png"), fold("train/dark/again.png"), "copies in two folds");
    for (_, _, label, said, [probability, dark, light]) in &rows {
        assert!((dark + light - 1.0).abs() < 1e-5 && *probability == dark.max(*light) && label.len() > 3);
        assert_eq!(said == "dark", dark >= light);
    }
    let json: serde_json::Value = serde_json::from_str(&read(&run.join("folds.json"))).expect("JSON");
    let mut accuracies = Vec::new();
    for number in 1..=3 {
        let held_out: Vec<_> = rows.iter().filter(|row| row.1 == number).collect();
        let right = held_out.iter().filter(|row| row.2 == row.3).count();
        let accuracy = right as f64 / held_out.len() as f64;
        let said = &json["folds"][number - 1];
        assert!((said["accuracy"].as_f64().expect("a number") - accuracy).abs() < 1e-9, "fold {number}: {said}");
        assert!((8..=9).contains(&held_out.len()));
        let history = read(&run.join(format!("fold-{number}/history.csv")));
        let last: Vec<&str> = history.lines().last().expect("a line").split(',').collect();
        assert!((last[4].parse::<f64>().expect("a number") - accuracy).abs() < 1e-5, "not that of the last epoch");
        accuracies.push(accuracy);
    }
    let mean = accuracies.iter().sum::<f64>() / 3.0;
    assert!((json["accuracy"]["mean"].as_f64().expect("a number") - mean).abs() < 1e-9);
    assert!(read(&run.join("folds.csv")).lines().last().is_some_and(|line| line.starts_with("deviation,")));
    let page = read(&run.join("report.html"));
    assert!(page.contains("Labels that are likely wrong") && page.contains("What is taken for what"));

    // It goes on where it was: after folds that are done, and to more epochs.
    let table = read(&run.join("out_of_fold.csv"));
    std::fs::remove_dir_all(run.join("fold-3")).expect("removed");
    let printed = succeed(root, &["train", "--resume", "run", "--no-report"]);
    assert!(printed.contains("it has done its epochs"), "{printed}");
    assert!(read(&run.join("out_of_fold.csv")) == table, "the fold that was trained again gave other answers");
    train(root, "shorter", &["--folds", "3", "--epochs", "1"]);
    let printed = succeed(root, &["train", "--resume", "shorter", "--epochs", "2", "--no-report"]);
    assert!(printed.contains("resumed  in epoch 2"), "{printed}");
    assert!(read(&root.join("shorter/out_of_fold.csv")) == table, "going on gave other answers");

    // What can be done with its folders, and what cannot.
    assert!(succeed(root, &["predict", "run/fold-2", "set/test", "--no-shap"]).lines().count() == 4);
    assert!(succeed(root, &["evaluate", "run/fold-2", "--data", "set/test"]).starts_with("4 pictures"));
    for (arguments, expected) in [
        (&["evaluate", "run"][..], "whose 3 networks are in fold-1 to fold-3"),
        (&["predict", "run", "set/test"], "fold-1"),
        (&["evaluate", "run/fold-2"], "folds.csv"),
        (&["report", "run/fold-2"], "fold 2 of a cross-validation"),
        (&["train", "--resume", "run/fold-2"], "the folder around it"),
        (&["train", "--resume", "run", "--learning-rate", "0.1"], "the same --learning-rate"),
        (&["train", "--data", "set", "--folds", "5", "--no-check"], "cannot be used with"),
        (&["train", "--data", "set", "--folds", "14", "--out", "none"], "--folds 12 is the most"),
    ] {
        let message = fail(root, arguments);
        assert!(message.contains(expected), "{arguments:?}: {message}");
    }
    assert!(!root.join("none").exists());
    // Without a test folder nothing is split off.
    let flat = [&["train", "--data", "set/train", "--out", "flat"], &arguments[3..7], &arguments[9..]].concat();
    let printed = succeed(root, &flat);
    assert!(printed.contains("25 to train, 0 to test") && !printed.contains("kept for testing"), "{printed}");
}

#[test]
fn labels_that_were_swapped_are_doubted_most() {
    if no_adapter() {
        return;
    }
    let root = tempfile::tempdir().expect("a temporary folder");
    let root = root.path();
    glowworm::data::draw_default_set(&root.join("drawn"), 1, &|_| ()).expect("drawn");
    // Sixty beetles and sixty dragonflies, of which six change places: a twentieth.
    let swapped = ["beetles/7", "beetles/23", "beetles/41", "dragonflies/3", "dragonflies/30", "dragonflies/55"];
    for [class, other] in [["beetles", "dragonflies"], ["dragonflies", "beetles"]] {
        for number in 0..60 {
            let is_swapped = swapped.contains(&format!("{class}/{number}").as_str());
            let folder = root.join("set").join(if is_swapped { other } else { class });
            std::fs::create_dir_all(&folder).expect("made");
            let name = if is_swapped { format!("swapped {number}.jpg") } else { format!("{number}.jpg") };
            let from = root.join(format!("drawn/train/{class}/{number:03}.jpg"));
            std::fs::copy(from, folder.join(name)).expect("copied");
        }
    }
    let options = ["--folds", "4", "--epochs", "30", "--image-size", "32", "--batch-size", "16", "--no-report"];
    let printed = succeed(root, &[&["train", "--data", "set", "--out", "run"], &options[..]].concat());
    let table = read(&root.join("run/mislabelled.csv"));
    let ranks: Vec<usize> =
        table.lines().enumerate().filter(|(_, line)| line.contains("swapped")).map(|(rank, _)| rank).collect();
    println!("{printed}\n{table}\n{ranks:?}");
    // By chance, three of the six would stand among the first twelve of 120 once in two hundred times.
    assert!(ranks.iter().filter(|rank| **rank <= 12).count() >= 4, "{table}");
    let sheet = image::open(root.join("run/mislabelled-1.png")).expect("a picture").into_rgb8();
    assert!(sheet.width() > 900 && sheet.pixels().any(|pixel| pixel.0 != [255; 3]));
}
