//! The program as a person uses it.

mod augmentation;
mod checks;
mod disks;
mod explanations;
mod fine_tuning;
mod folds;
mod interruptions;
mod learning_rates;
mod models;
mod recipes;
// Windows allows no such names of files.
#[cfg(unix)]
mod report;
mod runs;
#[path = "../common/scene.rs"]
mod scene;

use std::path::Path;
use std::process::{Command, Output};

use glowworm::model::Weights;
use image::{Rgb, RgbImage};
use tempfile::TempDir;

fn glowworm(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_glowworm")).args(arguments).current_dir(folder).output().expect("it starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs and expects success; gives what was printed.
fn succeed(folder: &Path, arguments: &[&str]) -> String {
    let output = glowworm(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// Runs and expects an error; gives the message.
fn fail(folder: &Path, arguments: &[&str]) -> String {
    let output = glowworm(folder, arguments);
    assert!(!output.status.success(), "{arguments:?} should fail: {}", text(&output.stdout));
    let message = text(&output.stderr);
    assert!(message.contains("error:") && !message.contains("panicked"), "{arguments:?}: {message}");
    message
}

/// Without an adapter the tests fail with the command that brings one, unless that is allowed.
fn no_adapter() -> bool {
    let missing = glowworm::gpu::adapters().is_empty() && std::env::var_os("GLOWWORM_ALLOW_NO_ADAPTER").is_some();
    if missing {
        println!("skipped: there is no adapter");
    }
    missing
}

/// Two classes, dark stripes and light ones, in train/ and test/.
fn pictures() -> TempDir {
    let root = tempfile::tempdir().expect("a temporary folder");
    for (class, shade) in [("dark", 40u8), ("light", 200)] {
        for (part, count) in [("train", 20), ("test", 5)] {
            let folder = root.path().join("set").join(part).join(class);
            std::fs::create_dir_all(&folder).expect("made");
            for i in 0..count {
                let stripe = |x: u32, y: u32| Rgb([shade + ((x * 7 + y * i) % 40) as u8, shade, (i * 9) as u8]);
                RgbImage::from_fn(20, 16, stripe).save(folder.join(format!("{part} {i}é.png"))).expect("written");
            }
        }
    }
    root
}

const TINY: [&str; 8] = ["train", "--data", "set", "--image-size", "16", "--batch-size", "7", "--out"];

/// Trains, without a report, which takes longer than such a training.
fn train(root: &Path, out: &str, more: &[&str]) -> String {
    succeed(root, &[&TINY[..], &[out, "--no-report"], more].concat())
}

fn weights(root: &Path, run: &str) -> Weights {
    Weights::load(&root.join(run).join("model.safetensors")).expect("a model").0
}
