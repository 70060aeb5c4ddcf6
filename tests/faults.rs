//! Devices that go away, have too little room, or compute wrongly; from inside, since no driver can be asked to.

mod common;

use std::cell::Cell;
use std::path::Path;

use clap::Parser;
use common::bodies;
use glowworm::commands::{Cli, Command, CommandError, train};
use glowworm::gpu::{Body, Gpu, GpuError};
use glowworm::model::{CASES, Weights, check_cases, self_test};
use image::{Rgb, RgbImage};

/// Two classes of noise, 12 pictures each, with another two to test on.
fn pictures() -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("a temporary folder");
    for (class, shade) in [("dark", 40u8), ("light", 200)] {
        for (part, count) in [("train", 12), ("test", 2)] {
            let folder = root.path().join("set").join(part).join(class);
            std::fs::create_dir_all(&folder).expect("made");
            for i in 0..count {
                let pixel = |x: u32, y: u32| Rgb([shade + ((x * 7 + y * i) % 40) as u8, shade, (i * 9) as u8]);
                RgbImage::from_fn(16, 16, pixel).save(folder.join(format!("{i}.png"))).expect("written");
            }
        }
    }
    root
}

/// Five steps an epoch.
const FIVE: [&str; 2] = ["--batch-size", "5"];

/// Trains three epochs into `root/out` on what `open` gives.
fn train(root: &Path, out: &str, more: &[&str], open: &dyn Fn() -> Result<Gpu, GpuError>) -> Result<(), CommandError> {
    let path = |name: &str| root.join(name).display().to_string();
    let (set, out) = (path("set"), path(out));
    let fixed = ["glowworm", "train", "--data", &set, "--image-size", "16", "--epochs", "3", "--quiet", "--no-report"];
    let every = ["--checkpoint-every", "2", "--out", &out];
    let cli = Cli::try_parse_from(fixed.iter().chain(&every).chain(more)).expect("valid options");
    let Command::Train(args) = cli.command else { unreachable!("it says train") };
    train::run_on(&args, open)
}

fn model(root: &Path, out: &str) -> Vec<u8> {
    std::fs::read(root.join(out).join("model.safetensors")).expect("read")
}

#[test]
fn a_lost_device_is_opened_again_and_the_run_ends_with_the_same_bits() {
    if bodies().is_empty() {
        return;
    }
    let root = pictures();
    let root = root.path();
    train(root, "whole", &FIVE, &|| Gpu::open(None)).expect("it trains");
    // Before the first checkpoint, within and after the first epoch; then twice in one run.
    for losses in [&[1][..], &[20], &[40], &[120], &[60, 33]] {
        let opened = Cell::new(0);
        let out = format!("lost-{losses:?}");
        let open = || {
            let gpu = Gpu::open(None)?;
            let loss = losses.get(opened.replace(opened.get() + 1)).copied();
            Ok(loss.map_or(gpu.clone(), |submissions| gpu.lost_after(submissions)))
        };
        train(root, &out, &FIVE, &open).expect("it goes on");
        assert_eq!(opened.get(), losses.len() + 1, "{losses:?}: it was not lost as often as it should");
        assert!(model(root, &out) == model(root, "whole"), "{losses:?}: the weights differ");
    }
    // A device that is lost again and again is given up, with what was learnt kept.
    let opened = Cell::new(0);
    let open = || {
        opened.set(opened.get() + 1);
        Ok(Gpu::open(None)?.lost_after(45))
    };
    let error = train(root, "hopeless", &FIVE, &open).expect_err("it is given up").to_string();
    assert_eq!(opened.get(), 4);
    assert!(error.contains("was lost") && error.contains("train --resume"), "{error}");
    let rest = Cli::try_parse_from([
        "glowworm",
        "train",
        "--quiet",
        "--no-report",
        "--resume",
        &root.join("hopeless").display().to_string(),
    ]);
    let Command::Train(rest) = rest.expect("valid options").command else { unreachable!("it says train") };
    train::run(&rest).expect("it goes on");
    assert!(model(root, "hopeless") == model(root, "whole"));
}

#[test]
fn a_batch_that_does_not_fit_is_worked_on_in_parts_with_the_same_result() {
    if bodies().is_empty() {
        return;
    }
    let root = pictures();
    let root = root.path();
    let tiles = || Ok(Gpu::open(None)?.with_body(Body::Tiles));
    // Partners of mixed pictures stand anywhere in the batch, and so in other parts.
    let strong = root.join("strong.toml");
    std::fs::write(&strong, "flip = 0.5\nhue = 0.1\nmixup = 0.4\ncutmix = 1.0\n").expect("written");
    let strong = strong.display().to_string();
    let options = ["--optimizer", "sgd", "--batch-size", "20", "--augmentation", &strong];
    train(root, "whole", &options, &tiles).expect("it trains");
    // Room for the partial gradients of a convolution, which grow with the batch, of 16 pictures.
    let small = || Ok(tiles()?.with_limit(4_800_000));
    let error = train(root, "refused", &options, &small).expect_err("too large").to_string();
    assert!(error.contains("--batch-size 16 fits") && error.contains("--fit"), "{error}");
    assert!(!root.join("refused").exists());
    let fit = [&options[..], &["--fit"]].concat();
    train(root, "parts", &fit, &small).expect("it trains in parts");
    let settings = std::fs::read_to_string(root.join("parts/settings.toml")).expect("read");
    assert!(settings.contains("\npart = 10\n"), "{settings}");
    let load = |out: &str| Weights::load(&root.join(out).join("model.safetensors")).expect("a model").0.0;
    let (parts, whole) = (load("parts"), load("whole"));
    for whole in &whole {
        let parts = parts.iter().find(|tensor| tensor.name == whole.name).expect("the same tensors");
        let difference = parts.data.iter().zip(&whole.data).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt();
        let size = whole.data.iter().map(|b| f64::from(*b).powi(2)).sum::<f64>().sqrt();
        assert!(difference <= 1e-4 * size, "{}: relative L2 difference {:.1e}", whole.name, difference / size);
    }
}

/// Each kernel of the self-test, broken as a driver might: a term lost, a neighbour mixed up, a function computed wrongly.
#[test]
fn an_adapter_that_computes_wrongly_is_refused() {
    let [convolution, dense, softmax, sum, adam] = CASES;
    for gpu in bodies() {
        self_test(&gpu).expect("this adapter computes as it should");
        let bias = ("let offset = bias[quad]", "let offset = bias[0]");
        for (case, (from, to), name) in [
            (convolution, bias, "a convolution"),
            (convolution, ("max(best, vec4(0.0))", "best"), "a convolution"),
            (dense, ("partial[s * size + id.x]", "partial[id.x]"), "a dense layer"),
            (dense, ("s < dense.slices", "s < 1u"), "a dense layer"),
            (softmax, ("/ sum", "/ (sum * 1.001)"), "softmax"),
            (softmax, ("/ sum", "/ (sum - sum)"), "softmax"),
            (sum, ("b += parts[at + pitch]", "b += parts[at]"), "a sum"),
            (adam, ("sqrt(second)", "second"), "a step of Adam"),
        ] {
            let error = check_cases(&gpu.with_edit(from, to), &[case]).expect_err(from);
            assert!(matches!(error, GpuError::Wrong { .. }), "{from}: {error}");
            let text = error.to_string();
            assert!(text.contains(&format!("computes wrongly: {name} gave")) && text.contains("--device"), "{text}");
        }
    }
}

#[test]
fn an_error_of_wgpu_is_an_error_of_ours_and_no_panic() {
    for gpu in bodies() {
        let buffer = gpu.buffer("small", 16).expect("room");
        gpu.write(&buffer, &[0; 64]);
        let error = gpu.wait().expect_err("it is written past its end");
        assert!(matches!(&error, GpuError::Device { .. }) && error.to_string().contains("fault"), "{error}");
    }
}
