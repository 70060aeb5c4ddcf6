//! Heatmaps, summaries and masks.

use super::*;

#[test]
fn predict_draws_heatmaps_and_keeps_their_values() {
    if no_adapter() {
        return;
    }
    let root = pictures();
    let root = root.path();
    train(root, "run", &["--epochs", "1", "--background", "8"]);
    let fast = ["predict", "run", "set/test/light", "--samples", "16"];
    let said = text(&glowworm(root, &["predict", "run", "set/test/light", "--no-shap"]).stderr);
    assert!(said.contains("5 of 5 pictures resized to 16 × 16"), "{said}");
    let printed = succeed(root, &[&fast[..], &["--out", "maps"]].concat());
    assert_eq!(printed.lines().filter(|l| l.starts_with("heatmap")).count(), 5, "{printed}");
    let map = image::open(root.join("maps/test 2é_shap.png")).expect("a picture").to_rgb8();
    assert!(map.width() > 800 && map.height() > 300);
    assert!(map.pixels().any(|p| p.0 == [255, 13, 87]) && map.pixels().any(|p| p.0 == [30, 136, 229]));
    succeed(
        root,
        &[&fast[..], &["--grid", "all.png", "--save-values", "v.safetensors", "--smooth", "--overlay"]].concat(),
    );
    assert!(image::open(root.join("all.png")).expect("a picture").height() > 1500);
    let bytes = std::fs::read(root.join("v.safetensors")).expect("read");
    let file = safetensors::SafeTensors::deserialize(&bytes).expect("it is whole");
    assert_eq!(file.tensor("values").expect("there").shape(), [5, 16, 16, 3, 2]);
    assert!(fail(root, &[&fast[..], &["--tolerance", "-1"]].concat()).contains("--tolerance"));
    std::fs::remove_file(root.join("run/best.safetensors")).expect("removed");
    assert!(fail(root, &[&fast[..], &["--best"]].concat()).contains("leave --best away"));
    std::fs::remove_file(root.join("run/background.safetensors")).expect("removed");
    assert!(fail(root, &fast).contains("--no-shap"));
}

/// Noise, and on the pictures of one class a square in the lower right corner.
fn tagged_pictures() -> TempDir {
    let root = tempfile::tempdir().expect("a temporary folder");
    for class in ["plain", "tagged"] {
        for (part, count) in [("train", 24_u32), ("test", 6)] {
            let folder = root.path().join("set").join(part).join(class);
            std::fs::create_dir_all(&folder).expect("made");
            for i in 0..count {
                let mut state = i * 2 + u32::from(class == "plain") + 1000 * u32::from(part == "test");
                let mut noise = || {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    60 + (state >> 24) as u8 / 4
                };
                let picture = RgbImage::from_fn(16, 16, |x, y| match class {
                    "tagged" if x >= 13 && y >= 14 => Rgb([250, 250, 40]),
                    _ => Rgb([noise(), noise(), noise()]),
                });
                picture.save(folder.join(format!("{i}.png"))).expect("written");
            }
        }
    }
    root
}

#[test]
fn a_tag_that_a_network_reads_is_found_and_a_mask_takes_it_away() {
    if no_adapter() {
        return;
    }
    let root = tagged_pictures();
    let root = root.path();
    train(root, "run", &["--epochs", "12", "--no-augment", "--background", "12"]);
    assert!(succeed(root, &["evaluate", "run"]).contains("100.0 %"));
    let summary = ["explain", "run", "set/test", "--summary", "--samples", "24"];
    let printed = succeed(root, &[&summary[..], &["--out", "maps", "--save-values", "m.safetensors"]].concat());
    for class in ["plain", "tagged"] {
        let line = printed.lines().find(|l| l.starts_with(&format!("{class}: "))).unwrap_or_default();
        assert!(
            line.contains("lower right") && line.contains("reading a label") && line.contains("--mask"),
            "{printed}"
        );
    }
    assert!(image::open(root.join("maps/summary.png")).expect("a picture").width() > 800);
    let file = std::fs::read(root.join("m.safetensors")).expect("read");
    let file = safetensors::SafeTensors::deserialize(&file).expect("it is whole");
    assert_eq!(file.tensor("mean_magnitudes").expect("there").shape(), [16, 16, 2]);

    // The report warns of it, too.
    let printed = succeed(root, &["report", "run", "--samples", "24"]);
    let page = std::fs::read_to_string(root.join("run/report.html")).expect("read");
    let warnings = page.matches("<strong>Warning:</strong>").count();
    assert!(printed.contains("report.html") && warnings == 2 && page.contains("in the lower right"), "{warnings}");

    // Without its tag a tagged picture is plain noise, and what is blank has no value.
    let mask = ["--mask", "0.8,0.8,1,1"];
    let masked = succeed(root, &[&["predict", "run", "set/test/tagged/*.png", "--no-shap"], &mask[..]].concat());
    assert_eq!(masked.lines().count(), 6);
    assert!(!masked.lines().any(|l| l.contains("100.0 % tagged")), "{masked}");
    succeed(
        root,
        &[&["predict", "run", "set/test/tagged", "--samples", "12", "--save-values", "v"], &mask[..]].concat(),
    );
    let file = std::fs::read(root.join("v")).expect("read");
    let file = safetensors::SafeTensors::deserialize(&file).expect("it is whole");
    let values: &[f32] = bytemuck::cast_slice(file.tensor("values").expect("there").data());
    for (index, colours) in values.chunks(3 * 2).enumerate() {
        let blank = index / 16 % 16 >= 12 && index % 16 >= 12;
        assert!(!blank || colours.iter().all(|v| *v == 0.0), "{index}: {colours:?}");
    }
    assert!(values.iter().any(|v| *v != 0.0));

    // Trained with the mask, the network never sees the tag: its answers do not depend on it.
    train(root, "blind", &[&["--epochs", "2", "--no-augment"], &mask[..]].concat());
    let with = succeed(root, &["predict", "blind", "set/test/tagged", "--no-shap"]);
    assert_eq!(with, succeed(root, &[&["predict", "blind", "set/test/tagged", "--no-shap"], &mask[..]].concat()));
    let message = fail(root, &["predict", "run", "set/test", "--mask", "0.5,0,0.4,1"]);
    assert!(message.contains("left before right"), "{message}");
    assert!(fail(root, &["predict", "run", "set/nothing*.png"]).contains("no file matches"));
}
