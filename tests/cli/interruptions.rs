//! Runs that are killed, stopped, or whose files are damaged: nothing is lost, and nothing changes the result.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::*;

/// A run of 40 pictures in batches of 7: six steps an epoch.
pub(super) const EPOCHS: [&str; 4] = ["--epochs", "6", "--checkpoint-every", "2"];

fn start(root: &Path, out: &str) -> Child {
    let arguments = [&TINY[..], &[out, "--no-report"], &EPOCHS].concat();
    let mut command = Command::new(env!("CARGO_BIN_EXE_glowworm"));
    command.args(arguments).current_dir(root).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts")
}

/// The files that an undisturbed run leaves, without what tells of time.
fn outcome(run: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let read = |name: &str| std::fs::read(run.join(name)).expect("read");
    let history = String::from_utf8(read("history.csv")).expect("text");
    // The sixth column.
    let without_seconds = |line: &str| {
        let figures = line.split(',').enumerate().filter(|(column, _)| *column != 5).map(|(_, figure)| figure);
        figures.collect::<Vec<_>>().join(",") + "\n"
    };
    let files = ["model.safetensors", "best.safetensors", "background.safetensors", "pictures.json"];
    let mut all: Vec<_> = files.map(|name| (PathBuf::from(name), read(name))).into();
    all.push(("history.csv".into(), history.lines().map(without_seconds).collect::<String>().into_bytes()));
    all
}

pub(super) fn assert_same(expected: &Path, run: &Path, what: &str) {
    for ((name, a), (_, b)) in outcome(expected).into_iter().zip(outcome(run)) {
        assert!(a == b, "{what}: {} differs from the undisturbed run's", name.display());
    }
}

/// Goes on until the run ends, and says whether it went on from a checkpoint; a run killed before its settings were written
/// has to begin anew.
fn finish(root: &Path, run: &str) -> bool {
    if root.join(run).join("settings.toml").exists() {
        match resume(root, run) {
            Ok(printed) => printed.contains("resumed"),
            Err(message) => {
                assert!(message.contains("has done its"), "{message}");
                false
            }
        }
    } else {
        let _ = std::fs::remove_dir_all(root.join(run));
        train(root, run, &EPOCHS);
        false
    }
}

pub(super) fn resume(root: &Path, run: &str) -> Result<String, String> {
    let output = glowworm(root, &["train", "--resume", run, "--no-report", "--checkpoint-every", "2"]);
    let (printed, message) = (text(&output.stdout), text(&output.stderr));
    assert!(!message.contains("panicked"), "{message}");
    if output.status.success() { Ok(printed) } else { Err(message) }
}

#[test]
fn killed_at_any_moment_a_run_ends_with_the_same_bits() {
    if no_adapter() {
        return;
    }
    let root = pictures();
    let root = root.path();
    let begin = Instant::now();
    train(root, "whole", &EPOCHS);
    let whole = begin.elapsed();
    let mut resumed = 0;
    // Moments spread over the time of a whole run by the golden ratio: no two alike, none chosen.
    for moment in 0..20 {
        let run = format!("killed-{moment}");
        let share = (0.5 + f64::from(moment) * 0.618_033_988_749_895).fract();
        let mut child = start(root, &run);
        std::thread::sleep(whole.mul_f64(share));
        // SIGKILL on Unix; if the run has ended already, there is nothing to kill.
        let _ = child.kill();
        child.wait().expect("it ends");
        resumed += usize::from(finish(root, &run));
        assert_same(&root.join("whole"), &root.join(&run), &format!("killed after {share:.2} of its time"));
    }
    println!("{resumed} of 20 went on from a checkpoint");
    assert!(resumed > 0, "no moment fell into the training");
}

#[test]
fn a_run_goes_on_from_the_checkpoint_before_a_damaged_one_and_names_it() {
    if no_adapter() {
        return;
    }
    let root = pictures();
    let root = root.path();
    train(root, "whole", &EPOCHS);
    // Three epochs, then on to six: the same as six at once.
    train(root, "run", &["--epochs", "3", "--checkpoint-every", "2"]);
    let file = |name: &str| root.join("run").join(name);
    let bytes = std::fs::read(file("checkpoint.safetensors")).expect("read");
    std::fs::write(file("checkpoint.safetensors"), &bytes[..bytes.len() / 3]).expect("written");
    let printed = resume(root, "run").expect("it goes on from the one before");
    assert!(printed.contains("torn or foreign") && printed.contains("resumed  in epoch 3"), "{printed}");
    assert!(file("checkpoint.damaged").exists());
    let message = resume(root, "run").expect_err("three epochs are done");
    assert!(message.contains("has done its 3 epochs"), "{message}");
    let printed =
        succeed(root, &["train", "--resume", "run", "--epochs", "6", "--no-report", "--checkpoint-every", "2"]);
    assert!(printed.contains("resumed"), "{printed}");
    assert_same(&root.join("whole"), &root.join("run"), "from the checkpoint before the damaged one");
    // With both damaged it does not begin anew over a model that has learnt; what there is stays as it is.
    let checkpoints = ["checkpoint.safetensors", "checkpoint-before.safetensors"];
    checkpoints.iter().for_each(|name| std::fs::write(file(name), "no checkpoint").expect("written"));
    let message = resume(root, "run").expect_err("nothing to go on from");
    assert!(message.contains("no other checkpoint is whole"), "{message}");
    assert!(checkpoints.iter().all(|name| std::fs::read(file(name)).is_ok_and(|bytes| bytes == b"no checkpoint")));
    assert_same(&root.join("whole"), &root.join("run"), "after the refusal");
    // Without any it begins anew.
    checkpoints.iter().for_each(|name| std::fs::remove_file(file(name)).expect("removed"));
    assert!(!resume(root, "run").expect("it begins anew").contains("resumed"));
    assert_same(&root.join("whole"), &root.join("run"), "from the beginning");
}

#[test]
fn a_second_training_into_the_folder_is_refused_and_changed_pictures_are_named() {
    if no_adapter() {
        return;
    }
    let root = pictures();
    let root = root.path();
    train(root, "run", &["--epochs", "1"]);
    // What a killed process left half-written goes away with the next that holds the lock.
    std::fs::write(root.join("run/.checkpoint.safetensors.77.partial"), "half").expect("written");
    let lock = std::fs::File::options().write(true).open(root.join("run/run.lock")).expect("opened");
    lock.lock().expect("locked");
    let message = fail(root, &["train", "--resume", "run", "--epochs", "2"]);
    assert!(message.contains("another glowworm"), "{message}");
    assert!(root.join("run/.checkpoint.safetensors.77.partial").exists());
    drop(lock);

    let message = fail(root, &["train", "--resume", "run", "--seed", "3"]);
    assert!(message.contains("--seed") && message.contains("cannot be used with"), "{message}");
    let message = fail(root, &["train", "--resume", "run"]);
    assert!(message.contains("has done its 1 epochs"), "{message}");
    assert!(!root.join("run/.checkpoint.safetensors.77.partial").exists());
    assert!(fail(root, &["train", "--resume", "set"]).contains("settings.toml"));

    let picture = root.join("set/train/light/train 3é.png");
    RgbImage::from_pixel(20, 16, Rgb([9, 9, 9])).save(&picture).expect("written");
    let message = fail(root, &["train", "--resume", "run", "--epochs", "2"]);
    assert!(message.contains("train 3é.png") && message.contains("has changed"), "{message}");
    std::fs::remove_file(&picture).expect("removed");
    let message = fail(root, &["train", "--resume", "run", "--epochs", "2"]);
    assert!(message.contains("train 3é.png") && message.contains("has gone"), "{message}");
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_says_how_to_go_on_and_does() {
    if no_adapter() {
        return;
    }
    let root = pictures();
    let root = root.path();
    train(root, "whole", &["--epochs", "40"]);
    for signal in ["-INT", "-TERM"] {
        let run = format!("stopped{signal}");
        let arguments = [&TINY[..], &[&run, "--epochs", "40"]].concat();
        let mut command = Command::new(env!("CARGO_BIN_EXE_glowworm"));
        let child = command.args(arguments).current_dir(root).stdout(Stdio::piped()).stderr(Stdio::null());
        let child = child.spawn().expect("it starts");
        let history = root.join(&run).join("history.csv");
        let begin = Instant::now();
        while !history.exists() && begin.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(5));
        }
        Command::new("kill").args([signal, &child.id().to_string()]).status().expect("sent");
        let output = child.wait_with_output().expect("it ends");
        let printed = text(&output.stdout);
        assert_eq!(output.status.code(), Some(130), "{printed}");
        assert!(printed.contains(&format!("train --resume {run}")), "{printed}");
        let page = std::fs::read_to_string(root.join(&run).join("report.html")).expect("a report of the run so far");
        assert!(page.contains("The heatmaps are missing"), "{page}");
        assert!(resume(root, &run).expect("it goes on").contains("resumed"));
        assert_same(&root.join("whole"), &root.join(&run), signal);
    }
}

#[test]
fn pictures_that_change_during_a_run_are_named_and_do_not_change_it() {
    if no_adapter() {
        return;
    }
    let root = pictures();
    let root = root.path();
    train(root, "whole", &["--epochs", "40"]);
    let arguments = [&TINY[..], &["run", "--epochs", "40", "--no-report"]].concat();
    let mut command = Command::new(env!("CARGO_BIN_EXE_glowworm"));
    let child = command.args(arguments).current_dir(root).stdout(Stdio::null()).stderr(Stdio::piped());
    let child = child.spawn().expect("it starts");
    let begin = Instant::now();
    while !root.join("run/history.csv").exists() && begin.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::fs::write(root.join("set/train/light/train 3é.png"), "another").expect("written");
    let output = child.wait_with_output().expect("it ends");
    let message = text(&output.stderr);
    assert!(output.status.success() && message.contains("train 3é.png has changed on disk"), "{message}");
    assert_same(&root.join("whole"), &root.join("run"), "with a picture that changed meanwhile");
}

#[test]
fn a_run_that_diverges_keeps_what_was_good_and_goes_on_with_a_smaller_rate() {
    if no_adapter() {
        return;
    }
    let root = pictures();
    let root = root.path();
    train(root, "run", &["--epochs", "2"]);
    let names = ["model.safetensors", "best.safetensors", "history.csv"];
    let files = || names.map(|name| std::fs::read(root.join("run").join(name)).expect("read"));
    let before = files();
    // Weights as large as the rate are finite numbers, and a checkpoint is due after every step: only the loss of the next
    // tells that it was no good.
    let options = ["train", "--resume", "run", "--epochs", "4", "--learning-rate", "1e30", "--checkpoint-every", "1"];
    let message = fail(root, &options);
    assert!(message.contains("not finite") && message.contains("--resume run --learning-rate"), "{message}");
    assert!(files() == before, "what was good was overwritten");
    let printed = succeed(root, &["train", "--no-report", "--resume", "run", "--learning-rate", "1e-4"]);
    assert!(printed.contains("resumed  in epoch 3, after 12 steps") && printed.contains("epoch 4/4"), "{printed}");
}
