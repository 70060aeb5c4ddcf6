//! What `check` finds, and what it leaves in peace, in pictures made for it.

#[path = "common/scene.rs"]
mod scene;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use glowworm::data::check::{CheckReport, Kind, Severity, Survey, check, look};
use glowworm::data::{DataError, Decoded, ExcludeList, decode_file};
use image::codecs::jpeg::JpegEncoder;
use image::{Rgb, RgbImage, imageops};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use scene::scene;
use tempfile::TempDir;

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn look_through(root: &Path) -> CheckReport {
    let survey = Survey::open(root).unwrap_or_else(|e| panic!("{e}"));
    let looks: Vec<_> = survey.items.par_iter().map(|item| look(Decoded::open(&item.path).as_ref())).collect();
    check(&survey, &looks, &|_| ())
}

fn save(picture: &RgbImage, path: &Path) {
    std::fs::create_dir_all(path.parent().expect("it has a folder")).expect("it can be made");
    picture.save(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}

fn save_jpeg(picture: &RgbImage, path: &Path, quality: u8) {
    std::fs::create_dir_all(path.parent().expect("it has a folder")).expect("it can be made");
    let mut bytes = Vec::new();
    picture.write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, quality)).expect("encoded");
    std::fs::write(path, bytes).expect("written");
}

/// A folder with as many scenes as this in each class of `train/` and `test/`.
fn scenes(classes: &[(&str, u64, u64)]) -> TempDir {
    let root = folder();
    for (number, (class, train, test)) in classes.iter().enumerate() {
        for (part, count) in [("train", *train), ("test", *test)] {
            for i in 0..count {
                let seed = (number as u64) << 32 | u64::from(part == "test") << 31 | i;
                save(&scene(seed, 96, 72), &root.path().join(part).join(class).join(format!("{i}.png")));
            }
        }
    }
    root
}

fn kinds(report: &CheckReport) -> BTreeSet<String> {
    report.findings.iter().map(|finding| format!("{:?}", finding.kind)).collect()
}

fn files_of(report: &CheckReport, kind: Kind) -> Vec<&str> {
    let files = report.findings.iter().filter(|finding| finding.kind == kind).flat_map(|finding| &finding.files);
    files.map(|file| file.file.as_str()).collect()
}

#[test]
fn sound_pictures_give_no_findings() {
    let root = scenes(&[("a", 12, 4), ("b", 12, 4)]);
    let report = look_through(root.path());
    assert!(report.findings.is_empty() && report.pairs.is_empty(), "{report}");
    assert!(report.to_string().contains("24 pictures to train, 8 to test"), "{report}");
}

#[test]
fn every_kind_of_bad_file_is_found_and_no_other() {
    let root = scenes(&[("a", 10, 0), ("b", 10, 0)]);
    let at = |name: &str| root.path().join("train/a").join(name);
    std::fs::write(at("empty.png"), []).expect("written");
    std::fs::write(at("text.jpg"), "this is no picture").expect("written");
    let whole = std::fs::read(at("0.png")).expect("read");
    std::fs::write(at("torn.png"), &whole[..whole.len() / 2]).expect("written");
    save_jpeg(&scene(1000, 96, 72), &at("whole.jpg"), 80);
    let whole = std::fs::read(at("whole.jpg")).expect("read");
    std::fs::write(at("torn.jpg"), &whole[..whole.len() * 2 / 3]).expect("written");
    std::fs::remove_file(at("whole.jpg")).expect("removed");
    save(&scene(1001, 90, 80), &at("right.png"));
    std::fs::rename(at("right.png"), at("wrong.JPEG")).expect("renamed");
    save(&scene(1002, 12, 40), &at("icon.png"));
    save(&scene(1003, 400, 60), &at("panorama.bmp"));
    save(&RgbImage::from_fn(80, 60, |x, _| Rgb([90 + (x % 2) as u8; 3])), &at("plain.png"));
    let turned = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pictures/turned.jpg");
    std::fs::copy(turned, at("turned.jpg")).expect("copied");
    std::fs::write(at("notes.txt"), "a note").expect("written");
    std::fs::write(at(".hidden.jpg"), "not even looked at").expect("written");
    save(&scene(1004, 80, 60), &root.path().join("train/loose.png"));
    std::fs::create_dir_all(root.path().join("valid/a")).expect("made");

    let report = look_through(root.path());
    let named = |kind, expected: &[&str]| {
        let expected: Vec<String> = expected.iter().map(|name| format!("train/{name}")).collect();
        assert_eq!(files_of(&report, kind), expected, "{kind:?}: {report}");
    };
    named(Kind::Unreadable, &["a/empty.png", "a/text.jpg", "a/torn.png"]);
    named(Kind::Truncated, &["a/torn.jpg"]);
    named(Kind::Mislabelled, &["a/wrong.JPEG"]);
    named(Kind::Tiny, &["a/icon.png", "a/turned.jpg"]);
    named(Kind::Elongated, &["a/icon.png", "a/panorama.bmp"]);
    named(Kind::Uniform, &["a/plain.png"]);
    named(Kind::Turned, &["a/turned.jpg"]);
    named(Kind::Ignored, &["loose.png", "a/notes.txt"]);
    assert!(report.pairs.is_empty(), "{report}");
    let reasons: Vec<_> = report.findings[0].files.iter().filter_map(|file| file.note.as_deref()).collect();
    assert!(reasons[0].contains("empty") && reasons[1].contains("known format"), "{reasons:?}");
    assert!(report.findings.iter().any(|finding| finding.text.contains("valid")), "{report}");
}

/// The changes that pictures go through on their way into a folder twice.
fn changed(picture: &RgbImage) -> Vec<(&'static str, RgbImage)> {
    let (width, height) = picture.dimensions();
    let scaled = |share: f64| {
        let side = |v: u32| (f64::from(v) * share).round() as u32;
        imageops::resize(picture, side(width), side(height), imageops::FilterType::CatmullRom)
    };
    let cropped = |left: f64, top: f64, right: f64, bottom: f64| {
        let at = |share: f64, side: u32| (share * f64::from(side)).round() as u32;
        let (x, y) = (at(left, width), at(top, height));
        imageops::crop_imm(picture, x, y, width - x - at(right, width), height - y - at(bottom, height)).to_image()
    };
    let lit = |gain: f32| {
        let mut lit = picture.clone();
        lit.iter_mut().for_each(|v| *v = (f32::from(*v) * gain).min(255.0) as u8);
        lit
    };
    vec![
        ("recompressed", picture.clone()),
        ("resized", scaled(0.9)),
        ("halved", scaled(0.5)),
        ("mirrored", imageops::flip_horizontal(picture)),
        ("brighter", lit(1.1)),
        ("darker", lit(0.9)),
        ("cropped", cropped(0.05, 0.05, 0.05, 0.05)),
        ("cropped at one side", cropped(0.0, 0.0, 0.1, 0.0)),
        ("cropped askew", cropped(0.04, 0.01, 0.02, 0.03)),
    ]
}

#[test]
fn near_copies_are_found_and_nothing_else_is_taken_for_one() {
    let root = folder();
    let kinds = changed(&RgbImage::new(8, 8)).len();
    for seed in 0..10 {
        let original = scene(seed, 192, 144);
        save(&original, &root.path().join(format!("train/a/{seed}.png")));
        for (change, picture) in changed(&original) {
            save_jpeg(&picture, &root.path().join(format!("test/a/{seed} {change}.jpg")), 60);
        }
    }
    let report = look_through(root.path());
    let originals: BTreeSet<_> = report.leaks.train.iter().collect();
    assert_eq!(originals.len(), 10, "{:?}", report.leaks);
    // Of the photographs 98 to 100 of each hundred are found.
    assert!(
        report.leaks.test.len() >= 10 * kinds - 2,
        "{} of {}: {:?}",
        report.leaks.test.len(),
        10 * kinds,
        report.leaks
    );
    for pair in &report.pairs {
        let [a, b] =
            pair.files.each_ref().map(|file| file.rsplit('/').next().expect("a name").split([' ', '.']).next());
        assert_eq!(a, b, "{pair:?} show different scenes");
        assert!(pair.similarity.is_some_and(|s| s > 0.5 && s <= 1.0001), "{pair:?}");
    }
}

#[test]
fn copies_are_told_apart_by_where_they_lie() {
    let root = scenes(&[("a", 12, 3), ("b", 12, 3)]);
    let at = |name: &str| root.path().join(name);
    let copy = |from: &str, to: &str| std::fs::copy(at(from), at(to)).expect("copied");
    copy("train/a/1.png", "train/a/twin.png");
    copy("train/a/2.png", "train/b/elsewhere.png");
    copy("train/b/3.png", "test/b/leak.png");
    // The same pixels in another format.
    save(&decode_file(&at("train/b/4.png")).expect("read"), &at("test/b/leak.bmp"));
    save_jpeg(&scene(5, 96, 72), &at("test/b/both.jpg"), 90);
    let report = look_through(root.path());
    let pairs = |kind: Kind| -> Vec<[&str; 2]> {
        let pairs = report.pairs.iter().filter(|pair| pair.is(kind));
        pairs.map(|pair| pair.files.each_ref().map(String::as_str)).collect()
    };
    assert_eq!(pairs(Kind::Repeat), [["train/a/1.png", "train/a/twin.png"]]);
    assert_eq!(
        pairs(Kind::Conflict),
        [["train/a/2.png", "train/b/elsewhere.png"], ["train/a/5.png", "test/b/both.jpg"]]
    );
    assert_eq!(report.leaks.test, ["test/b/both.jpg", "test/b/leak.bmp", "test/b/leak.png"]);
    assert_eq!(report.leaks.train, ["train/a/5.png", "train/b/3.png", "train/b/4.png"]);
    let leak = report.findings.iter().find(|finding| finding.kind == Kind::Leak).expect("found");
    assert_eq!(leak.severity, Severity::Warning);
    assert!(
        leak.text.contains("3 of 9 test pictures") && leak.text.contains("2 copied to the last pixel"),
        "{}",
        leak.text
    );
}

#[test]
fn many_copies_of_one_picture_are_as_many_pairs_and_no_more() {
    let root = folder();
    for i in 0..40 {
        save(&scene(7, 64, 48), &root.path().join(format!("{}/{i}.png", ["train/a", "train/b", "test/a"][i % 3])));
    }
    let report = look_through(root.path());
    assert_eq!(report.pairs.len(), 39);
    assert_eq!((report.leaks.train.len(), report.leaks.test.len()), (27, 13));
    assert_eq!(report.pairs.iter().filter(|pair| pair.conflict).count(), 1, "one of class b is held against class a");
}

#[test]
fn classes_are_weighed() {
    let root = scenes(&[("Ant", 3, 1), ("ant ", 40, 1), ("bee", 12, 0)]);
    std::fs::create_dir_all(root.path().join("train/none")).expect("made");
    save(&scene(99, 64, 48), &root.path().join("test/unseen/1.png"));
    let report = look_through(root.path());
    let text = report.to_string();
    for expected in [
        "the class \"none\" has no pictures",
        "\"Ant\" and \"ant \" have nearly the same name",
        "\"unseen\" has test pictures, but none to learn from",
        "the class \"bee\" has no test pictures",
        "1 class has fewer than 10 pictures",
        "13 times the smallest",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
}

#[test]
fn planted_shortcuts_are_found() {
    let shortcut = |plant: &dyn Fn(RgbImage, usize) -> RgbImage| {
        let root = folder();
        for i in 0..60 {
            let class = i % 2;
            let picture = plant(scene(i as u64, 96, 72), class);
            save_jpeg(&picture, &root.path().join(["a", "b"][class]).join(format!("{i}.jpg")), 90);
        }
        look_through(root.path())
    };
    let plain = shortcut(&|picture, _| picture);
    assert!(!kinds(&plain).contains("Shortcut"), "{plain}");

    let square = shortcut(&|mut picture, class| {
        if class == 0 {
            for (x, y) in (0..6).flat_map(|x| (0..6).map(move |y| (x, y))) {
                picture.put_pixel(90 + x, 66 + y, Rgb([250, 30, 30]));
            }
        }
        picture
    });
    let finding = square.findings.iter().find(|finding| finding.kind == Kind::Shortcut).expect("found");
    assert_eq!(finding.severity, Severity::Warning);
    assert!(finding.text.contains("lower right"), "{}", finding.text);
    assert!(finding.advice.as_ref().is_some_and(|advice| advice.contains("--mask 0.9375,0.9375,1,1")), "{finding:?}");

    let by = |report: &CheckReport, figures: &str| {
        let found = report.shortcuts.iter().find(|s| s.figures == figures).expect(figures);
        (found.accuracy, found.severity)
    };
    let size = shortcut(&|picture, class| match class {
        0 => picture,
        _ => imageops::resize(&picture, 100, 72, imageops::FilterType::Triangle),
    });
    assert_eq!(by(&size, "width and height"), (1.0, Some(Severity::Warning)));
    let tint = shortcut(&|mut picture, class| {
        picture.pixels_mut().for_each(|pixel| pixel.0[2] = if class == 0 { pixel.0[2] / 4 } else { pixel.0[2] });
        picture
    });
    // Colour may be what the classes differ in.
    assert_eq!(by(&tint, "the mean colour").1, Some(Severity::Note));
    assert_eq!(tint.warnings().count(), 0, "{tint}");
    let noise = shortcut(&|mut picture, class| {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        if class == 0 {
            picture.iter_mut().for_each(|v| *v = v.saturating_add(random.random_range(0..30)));
        }
        picture
    });
    assert_eq!(by(&noise, "the file size").1, Some(Severity::Warning));
}

#[test]
fn a_folder_of_none_or_one_or_without_classes() {
    let root = folder();
    assert!(matches!(Survey::open(&root.path().join("nowhere")), Err(DataError::Missing(_))));
    assert!(matches!(Survey::open(root.path()), Err(DataError::NoImages(_))));
    let file = root.path().join("one.png");
    save(&scene(1, 64, 48), &file);
    assert!(matches!(Survey::open(&file), Err(DataError::NotAFolder(_))));
    let report = look_through(root.path());
    assert!(kinds(&report).contains("Classes") && kinds(&report).contains("Ignored"), "{report}");
    std::fs::remove_file(&file).expect("removed");
    save(&scene(1, 64, 48), &root.path().join("only/one.png"));
    assert!(look_through(root.path()).to_string().contains("there is a single class, \"only\""));
    std::fs::write(root.path().join("only/one.png"), "torn").expect("written");
    assert_eq!(files_of(&look_through(root.path()), Kind::Unreadable), ["only/one.png"]);
}

#[test]
fn names_of_any_script_reach_lists_and_reports() {
    let root = folder();
    let names = ["жук/фото 1.png", "蜻蜓/写真.png", "حشرة/صورة.png", "a b/l'été #1, \"x\".png", "🐞/🪲.png"];
    for (i, name) in names.iter().enumerate() {
        save(&scene(i as u64, 64, 48), &root.path().join(name));
    }
    save(&scene(1, 64, 48), &root.path().join("жук/тот же.png"));
    let report = look_through(root.path());
    assert_eq!(report.pairs.len(), 1);
    let text = serde_json::to_string(&report).expect("JSON");
    assert_eq!(serde_json::from_str::<CheckReport>(&text).expect("JSON"), report);

    let list = root.path().join("list.txt");
    let text = format!("# left out\n\n{}\r\n{}\n", names[0], root.path().join(names[1]).display());
    std::fs::write(&list, text).expect("written");
    let options = glowworm::data::OpenOptions { validation_split: 0.5, seed: 1 };
    for name in ["жук/2.png", "蜻蜓/2.png", "حشرة/2.png", "a b/2.png", "🐞/2.png"] {
        save(&scene(9, 64, 48), &root.path().join(name));
    }
    let excluded = ExcludeList::read(&list, root.path()).expect("read");
    let again = root.path().join("again.txt");
    excluded.write(&again).expect("written");
    assert_eq!(ExcludeList::read(&again, root.path()).expect("read"), excluded);
    let mut set = glowworm::data::open(root.path(), &options).expect("it opens");
    let before = set.train.len() + set.test.len();
    assert_eq!(excluded.leave_out(&mut set, root.path()), (2, Vec::new()));
    assert_eq!(set.train.len() + set.test.len(), before - 2);
}

#[cfg(unix)]
#[test]
fn links_are_followed_once_and_dead_ones_named() {
    use std::os::unix::fs::symlink;
    let root = scenes(&[("a", 10, 0), ("b", 10, 0)]);
    let at = |name: &str| root.path().join("train").join(name);
    symlink(at("a"), at("a/loop")).expect("linked");
    symlink(at("nowhere.png"), at("a/dead.png")).expect("linked");
    symlink(at("a/1.png"), at("b/linked.png")).expect("linked");
    let report = look_through(root.path());
    assert_eq!(files_of(&report, Kind::Unreadable), ["train/a/dead.png"]);
    assert!(report.to_string().contains("a link that leads nowhere"), "{report}");
    assert_eq!(report.pairs.len(), 1, "{report}");
    assert!(report.pairs[0].conflict && report.pairs[0].files[1] == "train/b/linked.png", "{report}");
    assert_eq!(report.classes[0].train, 11, "the loop is entered once: {report}");
}

/// Run by hand: `cargo test --release --test check -- --ignored --nocapture`, on a machine with nothing else to do.
#[test]
#[ignore = "draws ten thousand pictures, and measures time"]
fn ten_thousand_pictures_take_at_most_twice_their_decoding() {
    let root = folder();
    let paths: Vec<PathBuf> =
        (0..10_000).map(|i| root.path().join(format!("{}/{i}.jpg", ["a", "b", "c"][i % 3]))).collect();
    paths.par_iter().enumerate().for_each(|(i, path)| {
        let mut random = ChaCha8Rng::seed_from_u64(i as u64);
        let mut picture = scene(i as u64, 384, 256);
        picture.iter_mut().for_each(|v| *v = v.saturating_add(random.random_range(0..24)));
        save_jpeg(&picture, path, 85);
    });
    let start = Instant::now();
    paths.par_iter().for_each(|path| assert!(decode_file(path).is_ok()));
    let decoding = start.elapsed();
    let start = Instant::now();
    let report = look_through(root.path());
    let checking = start.elapsed();
    println!("decoding {decoding:?}, checking {checking:?}; {report}");
    assert!(report.pairs.is_empty(), "{report}");
    assert!(checking <= 2 * decoding, "decoding {decoding:?}, checking {checking:?}");
}
