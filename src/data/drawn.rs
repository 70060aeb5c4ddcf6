//! The default data set: beetles, cockroaches and dragonflies that the program draws itself, so that it can be tried
//! without a photograph. What tells the classes apart is their shape; colour, light, pose and background are alike.

use std::path::Path;

use image::codecs::jpeg::JpegEncoder;
use rayon::prelude::*;

use super::DataError;
use super::insect::{Kind, draw};
use crate::files::write_atomically;

const TRAIN: usize = 160;
const TEST: usize = 50;
const QUALITY: u8 = 90;

const CLASSES: [(&str, Kind); 3] =
    [("beetles", Kind::Beetle), ("cockroach", Kind::Cockroach), ("dragonflies", Kind::Dragonfly)];

/// Pictures of the whole set.
pub fn drawn_count() -> usize {
    CLASSES.len() * (TRAIN + TEST)
}

/// Draws the set into `root/{train,test}/<class>/`, unless it is there; the same seed gives the same bytes, and no
/// picture is drawn twice. Returns whether it drew. A set that was interrupted is completed; files that are there are
/// left as they are.
///
/// # Errors
/// [`DataError::Unwritable`].
pub fn draw_default_set(root: &Path, seed: u64, progress: &(dyn Fn(usize) + Sync)) -> Result<bool, DataError> {
    let mut missing = Vec::new();
    for (part, (split, count)) in [("train", TRAIN), ("test", TEST)].into_iter().enumerate() {
        for (class, (name, kind)) in CLASSES.into_iter().enumerate() {
            let folder = root.join(split).join(name);
            for index in 0..count {
                let path = folder.join(format!("{index:03}.jpg"));
                if !path.exists() {
                    // One stream of random numbers a picture: none depends on another.
                    missing.push((path, kind, ((part * CLASSES.len() + class) * 100_000 + index) as u64));
                }
            }
            if missing.iter().any(|(path, ..)| path.starts_with(&folder)) {
                let unwritable =
                    |e: std::io::Error| DataError::Unwritable { path: folder.clone(), reason: e.to_string() };
                std::fs::create_dir_all(&folder).map_err(unwritable)?;
            }
        }
    }
    if missing.is_empty() {
        return Ok(false);
    }
    let done = std::sync::atomic::AtomicUsize::new(0);
    missing.par_iter().try_for_each(|(path, kind, stream)| {
        let unwritable = |reason: String| DataError::Unwritable { path: path.clone(), reason };
        let picture = draw(*kind, seed, *stream).ok_or_else(|| unwritable("it could not be drawn".to_owned()))?;
        let mut bytes = Vec::new();
        let encoder = JpegEncoder::new_with_quality(&mut bytes, QUALITY);
        picture.write_with_encoder(encoder).map_err(|e| unwritable(e.to_string()))?;
        write_atomically(path, &bytes).map_err(|e| unwritable(e.to_string()))?;
        progress(done.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1);
        Ok(())
    })?;
    Ok(true)
}
