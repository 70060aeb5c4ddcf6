//! The parsers, each with the bytes of one file. The fuzz targets call them, and `tests/hostile_files.rs` with every input
//! kept in `corpus/`.

use std::io::Cursor;

use glowworm::commands::{Settings, parse_background};
use glowworm::data::{Region, read_picture};
use glowworm::model::{Architecture, Layer, ModelFile, NetworkSpec, Weights};
use glowworm::names::{printable, unfit_name};
use glowworm::report::{Epoch, History};
use glowworm::training::Checkpoint;

/// A network of a few numbers, whose files a fuzzer can grasp.
pub fn spec() -> NetworkSpec {
    NetworkSpec {
        height: 2,
        width: 2,
        classes: 2,
        layers: vec![Layer::conv(1), Layer::Relu, Layer::max_pool(), Layer::Flatten, Layer::Softmax],
    }
}

pub fn picture(bytes: &[u8]) {
    if let Ok(picture) = read_picture(Cursor::new(bytes)) {
        assert!(picture.width() > 0 && picture.height() > 0);
    }
}

pub fn settings(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(settings) = Settings::parse(text)
    {
        settings.network.parameters().iter().for_each(|parameter| assert!(parameter.layout.device_len() > 0));
    }
}

pub fn architecture(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(architecture) = Architecture::parse("network.toml", text.to_owned().into())
        && let Ok(network) = architecture.network(16, 16, 2)
    {
        assert!(!network.parameters().is_empty() && !network.summary().is_empty());
    }
}

pub fn weights(bytes: &[u8]) {
    if let Ok(file) = ModelFile::of_bytes(bytes) {
        let weights = Weights::of(&file.metadata.network, &file).expect("all of them are there");
        assert!(weights.0.iter().all(|tensor| tensor.data.iter().all(|number| number.is_finite())));
        for name in &file.metadata.classes {
            assert!(unfit_name(name).is_none() && printable(name) == *name);
        }
    }
}

pub fn checkpoint(bytes: &[u8]) {
    if let Ok(checkpoint) = Checkpoint::of_bytes(bytes, &spec()) {
        for (_, part) in checkpoint.parts() {
            Weights::of(&spec(), &part).expect("all of it is there");
        }
    }
}

/// The rest of a run folder: background, history, masks.
pub fn run_files(bytes: &[u8]) {
    if let Ok(background) = parse_background(bytes, 2, 2) {
        assert_eq!(background.len() % 16, 0);
    }
    let _ = serde_json::from_slice::<Vec<Epoch>>(bytes);
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(history) = History::parse(text)
    {
        assert_eq!(History::parse(&history.to_csv()).map(|again| again.0.len()), Ok(history.0.len()));
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(region) = text.parse::<Region>()
    {
        let mut picture = image::RgbImage::new(3, 3);
        region.blank_picture(&mut picture);
        region.blank(&mut [0; 4 * 3 * 3], (3, 3), 4);
    }
}
