//! Folders, decoding and resizing, with files as people really have them.

use std::path::{Path, PathBuf};

use glowworm::data::{self, DataError, DecodeOptions, OpenOptions, Sample};
use image::{DynamicImage, Rgb, RgbImage};
use safetensors::SafeTensors;
use tempfile::TempDir;

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn picture(path: &Path, shade: u8) {
    std::fs::create_dir_all(path.parent().expect("it has a folder")).expect("it can be made");
    RgbImage::from_pixel(12, 9, Rgb([shade, 10, 200])).save(path).expect("it can be written");
}

fn options() -> OpenOptions {
    OpenOptions { validation_split: 0.25, seed: 3 }
}

fn decode(paths: &[PathBuf], strict: bool) -> Result<data::Pixels, DataError> {
    let samples: Vec<Sample> = paths.iter().map(|p| Sample { path: p.clone(), label: 0 }).collect();
    data::decode(&samples, &DecodeOptions { height: 4, width: 4, strict, masks: Vec::new() }, &|_| {})
}

#[test]
fn resizing_is_tensorflows() {
    let bytes = include_bytes!("golden/resize.safetensors");
    let golden = SafeTensors::deserialize(bytes).expect("the golden file is whole");
    for picture in 0..5 {
        let input = golden.tensor(&format!("{picture}.input")).expect("input");
        let (height, width) = (input.shape()[0] as u32, input.shape()[1] as u32);
        let image = RgbImage::from_raw(width, height, input.data().to_vec()).expect("the sizes agree");
        for (name, height, width) in [("bilinear_16", 16, 16), ("bilinear_24x40", 24, 40)] {
            let expected = golden.tensor(&format!("{picture}.{name}")).expect(name);
            let expected: Vec<f32> = bytemuck::pod_collect_to_vec(expected.data());
            let got = data::resize_bilinear(&image, height, width);
            assert_eq!(got.len(), expected.len());
            for (g, e) in got.iter().zip(&expected) {
                assert!((g - e).abs() <= 1e-4, "{picture}.{name}: {g} is not {e}");
            }
        }
    }
}

#[test]
fn classes_are_folders_in_code_point_order_and_files_are_found_below_them() {
    let root = folder();
    for name in ["train/b/x.png", "train/b/deep/er/y.PNG", "train/a/ä ö 1.png", "train/Z/q.png", "test/b/t.png"] {
        picture(&root.path().join(name), 1);
    }
    std::fs::create_dir_all(root.path().join("train/.hidden")).expect("made");
    std::fs::write(root.path().join("train/a/notes.txt"), "no picture").expect("written");
    let set = data::open(root.path(), &options()).expect("it opens");
    assert_eq!(set.classes, ["Z", "a", "b"]);
    let labels: Vec<usize> = set.train.iter().map(|s| s.label).collect();
    assert_eq!(labels, [0, 1, 2, 2]);
    assert!(!set.test_is_split && set.test.len() == 1 && set.test[0].label == 2);
    assert_eq!(set.notes.len(), 2, "the classes without test pictures are named: {:?}", set.notes);
}

#[test]
fn without_a_test_folder_each_class_is_split_by_the_seed() {
    let root = folder();
    for i in 0..20 {
        picture(&root.path().join(format!("a/{i}.png")), i);
        picture(&root.path().join(format!("b/{}.png", i % 4)), i);
    }
    let names = |set: &data::Dataset| set.test.iter().map(|s| s.path.clone()).collect::<Vec<_>>();
    let set = data::open(root.path(), &options()).expect("it opens");
    let count = |label| set.test.iter().filter(|s| s.label == label).count();
    assert_eq!((count(0), count(1)), (5, 1));
    assert_eq!(set.train.len() + set.test.len(), 24);
    assert!(set.test.iter().all(|s| !set.train.contains(s)));
    assert_eq!(names(&set), names(&data::open(root.path(), &options()).expect("it opens")));
    let other = data::open(root.path(), &OpenOptions { seed: 4, ..options() }).expect("it opens");
    assert_ne!(names(&set), names(&other));
    for bad in [0.0, 1.0, -0.5, f64::NAN] {
        let bad = OpenOptions { validation_split: bad, ..options() };
        assert!(matches!(data::open(root.path(), &bad), Err(DataError::Split(_))));
    }
}

#[test]
fn wrong_folders_are_told_apart() {
    let root = folder();
    let at = |name: &str| root.path().join(name);
    picture(&at("single/only/1.png"), 1);
    picture(&at("empty/a/1.png"), 1);
    std::fs::create_dir_all(at("empty/b")).expect("made");
    std::fs::create_dir_all(at("bare")).expect("made");
    for name in ["new/train/a/1.png", "new/train/b/1.png", "new/test/c/1.png"] {
        picture(&at(name), 1);
    }
    let fails = |name: &str| data::open(&at(name), &options()).expect_err(name);
    assert!(matches!(fails("nowhere"), DataError::Missing(_)));
    assert!(matches!(fails("single/only/1.png"), DataError::NotAFolder(_)));
    assert!(matches!(fails("bare"), DataError::NoClasses(_)));
    assert!(matches!(fails("single"), DataError::SingleClass { .. }));
    assert!(matches!(fails("empty"), DataError::EmptyClass { class, .. } if class == "b"));
    assert!(matches!(fails("new"), DataError::UnknownClass { class, .. } if class == "c"));
    assert!(matches!(data::list_images(&at("bare")), Err(DataError::NoImages(_))));
}

#[cfg(unix)]
#[test]
fn a_folder_that_links_to_itself_is_entered_once() {
    let root = folder();
    picture(&root.path().join("a/1.png"), 1);
    picture(&root.path().join("b/1.png"), 2);
    std::os::unix::fs::symlink(root.path().join("a"), root.path().join("a/again")).expect("linked");
    let images = data::list_images(&root.path().join("a")).expect("listed");
    assert_eq!(images.len(), 1);
}

#[test]
fn unusual_pictures_are_read_and_broken_ones_named() {
    let root = folder();
    let at = |name: &str| root.path().join(name);
    let rgba = image::RgbaImage::from_pixel(5, 4, image::Rgba([9, 8, 7, 0]));
    rgba.save(at("alpha.png")).expect("written");
    let deep = image::ImageBuffer::from_pixel(5, 4, Rgb([0xffff_u16, 0x8080, 0]));
    DynamicImage::ImageRgb16(deep).save(at("sixteen bits é.png")).expect("written");
    image::GrayImage::from_pixel(5, 4, image::Luma([77])).save(at("grey.jpg")).expect("written");
    RgbImage::from_pixel(1, 1, Rgb([1, 2, 3])).save(at("one.png")).expect("written");
    RgbImage::from_pixel(6, 6, Rgb([250, 0, 0])).save(at("still.gif")).expect("written");
    std::fs::copy(at("one.png"), at("really a png.jpg")).expect("copied");
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pictures");
    for (path, expected) in [
        (at("alpha.png"), [9, 8, 7]),
        (at("sixteen bits é.png"), [255, 128, 0]),
        (at("grey.jpg"), [77, 77, 77]),
        (at("one.png"), [1, 2, 3]),
        (at("still.gif"), [250, 0, 0]),
        (at("really a png.jpg"), [1, 2, 3]),
        (fixtures.join("cmyk.jpg"), [200, 100, 50]),
    ] {
        let pixels = decode(std::slice::from_ref(&path), true).unwrap_or_else(|e| panic!("{e}"));
        for (got, expected) in pixels.bytes[..3].iter().zip(expected) {
            assert!(got.abs_diff(expected) <= 3, "{}: {:?}", path.display(), &pixels.bytes[..3]);
        }
    }
    // Turned a quarter by its EXIF orientation: what lies left in the file stands on top.
    let turned = data::decode_file(&fixtures.join("turned.jpg")).expect("it is read");
    assert_eq!(turned.dimensions(), (8, 16));
    assert!(turned.get_pixel(4, 2).0[0] > 200 && turned.get_pixel(4, 13).0[0] < 60);

    std::fs::write(at("empty.png"), []).expect("written");
    std::fs::write(at("text.jpg"), "this is no picture").expect("written");
    let whole = std::fs::read(at("alpha.png")).expect("read");
    std::fs::write(at("cut.png"), &whole[..whole.len() / 2]).expect("written");
    let mut huge = whole.clone();
    huge[16..24].copy_from_slice(&[0, 1, 0x86, 0xa0, 0, 1, 0x86, 0xa0]);
    std::fs::write(at("huge.png"), huge).expect("written");
    let broken = ["empty.png", "text.jpg", "cut.png", "huge.png", "missing.png"].map(at);
    for path in &broken {
        assert!(
            matches!(decode(std::slice::from_ref(path), true), Err(DataError::Unreadable { .. })),
            "{}",
            path.display()
        );
        assert!(matches!(decode(std::slice::from_ref(path), false), Err(DataError::NothingReadable { .. })));
    }
    let mixed = [broken.to_vec(), vec![at("one.png")]].concat();
    let pixels = decode(&mixed, false).expect("one is left");
    let named: Vec<_> = pixels.skipped.iter().map(|(path, _)| path.clone()).collect();
    assert_eq!((named, pixels.labels.len()), (broken.to_vec(), 1));
}

#[test]
fn the_drawn_set_is_the_same_every_time_and_no_picture_comes_twice() {
    let (first, second) = (folder(), folder());
    for root in [&first, &second] {
        assert!(data::draw_default_set(root.path(), 1, &|_| {}).expect("drawn"));
    }
    let set = data::open(first.path(), &options()).expect("it opens");
    assert_eq!(set.train.len() + set.test.len(), data::drawn_count());
    let mut seen = std::collections::HashSet::new();
    for sample in set.train.iter().chain(&set.test) {
        let bytes = std::fs::read(&sample.path).expect("read");
        let twin = second.path().join(sample.path.strip_prefix(first.path()).expect("below"));
        assert_eq!(bytes, std::fs::read(twin).expect("read"), "{}", sample.path.display());
        assert!(seen.insert(bytes), "{} was drawn twice", sample.path.display());
    }
    assert!(!data::draw_default_set(first.path(), 1, &|_| {}).expect("it is there"), "it must not be drawn again");
}
