//! Disks that are full or read-only, folders that go away, and little memory: an error that says what to do, and what was
//! there stays whole.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::interruptions::{EPOCHS, assert_same, resume};
use super::*;

/// Runs a shell script in `root` that may mount file systems, which end with it; without the right to, says so. `$glowworm`
/// is the program and `$options` are those of a small training, up to the name of its folder.
#[cfg(target_os = "linux")]
fn with_mounts(root: &Path, script: &str) -> Option<Output> {
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--map-root-user", "sh", "-c", script]).current_dir(root);
        command
            .env("glowworm", env!("CARGO_BIN_EXE_glowworm"))
            .env("options", format!("train --no-report {}", TINY[1..].join(" ")))
            .output()
    };
    std::fs::create_dir_all(root.join("disk")).expect("made");
    if !unshare("mount -t tmpfs tmpfs disk").is_ok_and(|output| output.status.success()) {
        println!("skipped: this machine lets nobody mount a file system here");
        return None;
    }
    Some(unshare(script).expect("it starts"))
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_and_the_run_goes_on_once_there_is_room() {
    if no_adapter() {
        return;
    }
    let root = pictures();
    let root = root.path();
    train(root, "whole", &EPOCHS);
    // Two checkpoints of 2.7 MB find room, and two models of 0.9 MB; the third checkpoint does not, beside them.
    let script = "mount -t tmpfs -o size=8m tmpfs disk
        $glowworm $options disk/run --epochs 6 --checkpoint-every 2; echo ended with $?
        ls -A disk/run | grep partial
        $glowworm predict disk/run set/test --no-shap >/dev/null && echo the model is whole
        mount -o remount,size=64m disk
        $glowworm train --no-report --resume disk/run --checkpoint-every 2 && cp -r disk/run kept";
    let Some(output) = with_mounts(root, script) else { return };
    let (printed, message) = (text(&output.stdout), text(&output.stderr));
    assert!(printed.contains("ended with 1") && printed.contains("resumed"), "{printed}{message}");
    assert!(!printed.contains("partial") && printed.contains("the model is whole"), "{printed}{message}");
    assert!(message.contains("free some space") && message.contains("train --resume disk/run"), "{message}");
    assert!(!message.contains("fault of glowworm"), "{message}");
    assert_same(&root.join("whole"), &root.join("kept"), "after a full disk");
}

#[cfg(target_os = "linux")]
#[test]
fn a_read_only_disk_is_an_error_that_says_so() {
    if no_adapter() {
        return;
    }
    let root = pictures();
    let root = root.path();
    let script = "mount -t tmpfs tmpfs disk
        $glowworm $options disk/run --epochs 1 --quiet
        mount -o remount,ro disk
        $glowworm $options disk/other --epochs 1 --quiet || echo new refused
        $glowworm train --no-report --resume disk/run --epochs 2 --quiet || echo resume refused
        $glowworm predict disk/run set/test/dark --samples 2 || echo heatmaps refused
        $glowworm evaluate disk/run >/dev/null && echo evaluated";
    let Some(output) = with_mounts(root, script) else { return };
    let (printed, message) = (text(&output.stdout), text(&output.stderr));
    for expected in ["new refused", "resume refused", "heatmaps refused", "evaluated"] {
        assert!(printed.contains(expected), "{expected}: {printed}{message}");
    }
    assert_eq!(message.matches("Read-only file system").count(), 3, "{message}");
    assert!(message.contains("can be written") && !message.contains("fault of glowworm"), "{message}");
}

#[test]
fn a_run_folder_that_goes_away_is_named_and_not_made_again() {
    if no_adapter() {
        return;
    }
    let root = pictures();
    let root = root.path();
    train(root, "whole", &["--epochs", "60"]);
    let arguments = [&TINY[..], &["run", "--epochs", "60", "--no-report"]].concat();
    let mut command = Command::new(env!("CARGO_BIN_EXE_glowworm"));
    let child = command.args(arguments).current_dir(root).stdout(Stdio::null()).stderr(Stdio::piped());
    let child = child.spawn().expect("it starts");
    let begin = Instant::now();
    while !root.join("run/history.csv").exists() && begin.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::fs::rename(root.join("run"), root.join("moved")).expect("moved");
    let output = child.wait_with_output().expect("it ends");
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("its folder has gone") && !message.contains("fault of glowworm"), "{message}");
    assert!(!root.join("run").exists());
    resume(root, "moved").expect("it goes on where it is now");
    assert_same(&root.join("whole"), &root.join("moved"), "moved meanwhile");
}

/// Address space runs out at many places of a training: whatever happens there, the run before is whole and goes on.
#[cfg(target_os = "linux")]
#[test]
fn little_memory_costs_no_work() {
    if no_adapter() {
        return;
    }
    let root = pictures();
    let root = root.path();
    train(root, "whole", &EPOCHS);
    train(root, "run", &["--epochs", "3", "--checkpoint-every", "2"]);
    let kept = std::fs::read(root.join("run/checkpoint.safetensors")).expect("read");
    let mut ended = 0;
    for mebibytes in [200, 500, 700, 800, 900, 1000, 1200, 1600] {
        let script = format!(
            "ulimit -v {}; exec \"$glowworm\" train --no-report --resume run --epochs 6 --checkpoint-every 1000",
            mebibytes << 10
        );
        let mut command = Command::new("sh");
        command.args(["-c", &script]).env("glowworm", env!("CARGO_BIN_EXE_glowworm")).current_dir(root);
        let output = command.output().expect("it starts");
        let message = text(&output.stderr);
        println!("{mebibytes} MiB: {:?} {message}", output.status);
        if output.status.success() {
            ended = mebibytes;
            break;
        }
        assert!(
            std::fs::read(root.join("run/checkpoint.safetensors")).expect("read") == kept,
            "{mebibytes} MiB: {message}"
        );
    }
    if ended == 0 {
        succeed(root, &["train", "--resume", "run", "--epochs", "6", "--no-report"]);
    }
    assert_same(&root.join("whole"), &root.join("run"), "after too little memory");
}
