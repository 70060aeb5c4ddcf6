//! Reading pictures: any format the decoders know, by content, in parallel.

use std::path::{Path, PathBuf};

use image::{DynamicImage, ImageDecoder, ImageReader, Limits, RgbImage};
use rayon::prelude::*;

use super::{DataError, Sample, resize_bilinear};

/// No side of a picture may be longer, and no decoder may take more memory: a header that claims 100,000 × 100,000
/// pixels is an error, not 30 GB.
const LONGEST_SIDE: u32 = 32_768;
const MOST_MEMORY: u64 = 1 << 30;

/// How to decode.
#[derive(Clone, Copy, Debug)]
pub struct DecodeOptions {
    /// Height to resize to.
    pub height: usize,
    /// Width to resize to.
    pub width: usize,
    /// Fail on the first picture that cannot be read.
    pub strict: bool,
}

/// Decoded pictures.
#[derive(Clone, Debug)]
pub struct Pixels {
    /// `[N,H,W,4]`: red, green, blue, 255; rounded to nearest.
    pub bytes: Vec<u8>,
    /// `[N]`.
    pub labels: Vec<u32>,
    /// The files, `[N]`.
    pub paths: Vec<PathBuf>,
    /// The files that could not be read, and why.
    pub skipped: Vec<(PathBuf, String)>,
}

/// Reads one picture as 8-bit RGB: turned as its EXIF orientation says, transparency dropped (as TensorFlow does), 16 bits
/// scaled to 8, grey and CMYK converted, the first frame of an animation.
///
/// # Errors
/// [`DataError::Unreadable`].
pub fn decode_file(path: &Path) -> Result<RgbImage, DataError> {
    let fail = |reason: String| DataError::Unreadable { path: path.to_owned(), reason };
    let file = std::fs::File::open(path).map_err(|e| fail(e.to_string()))?;
    if file.metadata().is_ok_and(|m| m.len() == 0) {
        return Err(fail("the file is empty".to_owned()));
    }
    let mut reader =
        ImageReader::new(std::io::BufReader::new(file)).with_guessed_format().map_err(|e| fail(e.to_string()))?;
    if reader.format().is_none() {
        return Err(fail("its content is no picture of a known format (BMP, GIF, JPEG, PNG, TIFF, WebP)".to_owned()));
    }
    let mut limits = Limits::default();
    limits.max_image_width = Some(LONGEST_SIDE);
    limits.max_image_height = Some(LONGEST_SIDE);
    limits.max_alloc = Some(MOST_MEMORY);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(|e| fail(e.to_string()))?;
    let orientation = decoder.orientation().unwrap_or(image::metadata::Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder).map_err(|e| fail(e.to_string()))?;
    image.apply_orientation(orientation);
    Ok(image.to_rgb8())
}

fn decode_sample(path: &Path, options: &DecodeOptions) -> Result<Vec<u8>, DataError> {
    let image = decode_file(path)?;
    let rgb = resize_bilinear(&image, options.height, options.width);
    Ok(rgb.chunks_exact(3).flat_map(|p| [p[0].round() as u8, p[1].round() as u8, p[2].round() as u8, 255]).collect())
}

/// Decodes and resizes pictures on all cores, in order; `progress` is told how many are done. Those that cannot be read
/// are left out and named in [`Pixels::skipped`].
///
/// # Errors
/// [`DataError::Unreadable`] for the first of them if `options.strict`, [`DataError::ClassUnreadable`] if a class loses
/// all its pictures, [`DataError::NothingReadable`] if nothing is left.
pub fn decode(
    samples: &[Sample],
    options: &DecodeOptions,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<Pixels, DataError> {
    let done = std::sync::atomic::AtomicUsize::new(0);
    let results: Vec<Result<Vec<u8>, DataError>> = samples
        .par_iter()
        .map(|sample| {
            let result = decode_sample(&sample.path, options);
            progress(done.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1);
            result
        })
        .collect();
    let size = options.height * options.width * 4;
    let mut pixels = Pixels {
        bytes: Vec::with_capacity(samples.len() * size),
        labels: Vec::with_capacity(samples.len()),
        paths: Vec::with_capacity(samples.len()),
        skipped: Vec::new(),
    };
    for (sample, result) in samples.iter().zip(results) {
        match result {
            Ok(bytes) => {
                pixels.bytes.extend_from_slice(&bytes);
                pixels.labels.push(sample.label as u32);
                pixels.paths.push(sample.path.clone());
            }
            Err(error) if options.strict => return Err(error),
            Err(DataError::Unreadable { path, reason }) => pixels.skipped.push((path, reason)),
            Err(error) => return Err(error),
        }
    }
    if let (true, Some((path, reason))) = (pixels.labels.is_empty(), pixels.skipped.first()) {
        return Err(DataError::NothingReadable { count: samples.len(), path: path.clone(), reason: reason.clone() });
    }
    for sample in samples {
        if !pixels.labels.contains(&(sample.label as u32)) {
            let skipped = pixels.skipped.iter().find(|(path, _)| *path == sample.path);
            let (path, reason) = skipped.cloned().unwrap_or_default();
            let folder = sample.path.parent().unwrap_or(Path::new("")).to_owned();
            return Err(DataError::ClassUnreadable { folder, path, reason });
        }
    }
    Ok(pixels)
}
