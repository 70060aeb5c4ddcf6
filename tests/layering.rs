//! The direction of the layers: main → commands → {training, explain, report, data} → model → kernels → gpu → wgpu.

use std::path::Path;

/// The text of every Rust file of a folder of `src/` and the folders below it.
fn texts(folder: &str) -> Vec<(String, String)> {
    let mut waiting = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(folder)];
    let mut all = Vec::new();
    while let Some(path) = waiting.pop() {
        let entries = path.read_dir().unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let paths = entries.map(|e| e.expect("it can be read").path());
        let (folders, files): (Vec<_>, Vec<_>) = paths.partition(|path| path.is_dir());
        waiting.extend(folders);
        for file in files.into_iter().filter(|p| p.extension().is_some_and(|e| e == "rs")) {
            all.push((file.display().to_string(), std::fs::read_to_string(&file).expect("it is text")));
        }
    }
    assert!(!all.is_empty(), "src/{folder} has no Rust files");
    all
}

#[test]
fn no_folder_names_one_above_it() {
    let above = [
        ("gpu", &["kernels", "model", "training", "report", "data", "commands"][..]),
        ("kernels", &["model", "training", "report", "data", "commands"]),
        ("model", &["training", "report", "data", "commands"]),
        ("data", &["gpu", "kernels", "model", "training", "report", "commands"]),
        ("report", &["gpu", "kernels", "model", "training", "data", "commands"]),
        ("training", &["explain", "report", "data", "commands"]),
        ("explain", &["training", "report", "data", "commands"]),
    ];
    for (folder, forbidden) in above {
        for (path, text) in texts(folder) {
            for name in forbidden {
                assert!(!text.contains(&format!("crate::{name}")), "{path} names crate::{name}");
            }
        }
    }
}

#[test]
fn only_gpu_names_wgpu_and_kernel_families_do_not_know_each_other() {
    for folder in ["kernels", "model", "data", "report", "training", "explain", "commands"] {
        for (path, text) in texts(folder) {
            assert!(!text.contains("wgpu::"), "{path} names wgpu");
        }
    }
    for (path, text) in texts("kernels") {
        let imports = text.lines().filter(|l| l.starts_with("use crate::kernels") || l.starts_with("use super::"));
        for line in imports {
            for family in [
                "activation",
                "augment",
                "average",
                "batch_norm",
                "border",
                "conv",
                "copy",
                "dense",
                "dropout",
                "explain",
                "optimizer",
                "plain_conv",
                "pool",
                "reduce",
                "relu",
                "roof",
                "softmax",
            ] {
                assert!(!line.contains(&format!("super::{family}")), "{path} imports the family {family}");
            }
        }
    }
}
