//! Reading pictures: any format the decoders know, by content, in parallel.

use std::collections::HashSet;
use std::io::{BufRead, Seek};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use image::{DynamicImage, ImageDecoder, ImageReader, Limits, RgbImage};
use rayon::prelude::*;

use super::{DataError, Region, Sample, resize_bilinear};

/// No side of a picture may be longer, and neither its pixels nor what the decoder takes besides may fill more memory: a
/// header that claims 100,000 × 100,000 pixels is an error, not 30 GB. 512 MiB hold 178 million pixels of 8-bit RGB.
const LONGEST_SIDE: u32 = 32_768;
const MOST_MEMORY: u64 = 512 << 20;

/// How to decode.
#[derive(Clone, Debug)]
pub struct DecodeOptions {
    /// Height to resize to, in pixels, at least 1.
    pub height: usize,
    /// Width to resize to, in pixels, at least 1.
    pub width: usize,
    /// Fail on the first picture that cannot be read.
    pub strict: bool,
    /// Parts of every picture to blank.
    pub masks: Vec<Region>,
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
    let about = std::fs::metadata(path).map_err(|e| fail(e.to_string()))?;
    if !about.is_file() {
        return Err(fail("it is no file".to_owned()));
    }
    if about.len() == 0 {
        return Err(fail("the file is empty".to_owned()));
    }
    let file = std::fs::File::open(path).map_err(|e| fail(e.to_string()))?;
    read_picture(std::io::BufReader::new(file)).map_err(fail)
}

/// The same from a file's content. Takes no more memory than two pictures of [`MOST_MEMORY`], whatever a header claims.
///
/// # Errors
/// What is wrong with it.
pub fn read_picture(content: impl BufRead + Seek) -> Result<RgbImage, String> {
    let mut reader = ImageReader::new(content).with_guessed_format().map_err(|e| e.to_string())?;
    if reader.format().is_none() {
        return Err("its content is no picture of a known format (BMP, GIF, JPEG, PNG, TIFF, WebP)".to_owned());
    }
    let mut limits = Limits::default();
    limits.max_image_width = Some(LONGEST_SIDE);
    limits.max_image_height = Some(LONGEST_SIDE);
    limits.max_alloc = Some(MOST_MEMORY);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(|e| e.to_string())?;
    // The limits hold for what decoders take for themselves; some never count the picture that they are asked to fill.
    if decoder.total_bytes() > MOST_MEMORY {
        let (width, height) = decoder.dimensions();
        let most = MOST_MEMORY >> 20;
        return Err(format!("it claims {width} × {height} pixels, which do not fit in {most} MiB; scale it down"));
    }
    let orientation = decoder.orientation().unwrap_or(image::metadata::Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder).map_err(|e| e.to_string())?;
    image.apply_orientation(orientation);
    Ok(image.into_rgb8())
}

/// Decodes and resizes one picture into `[H,W,4]`.
fn decode_into(bytes: &mut [u8], path: &Path, options: &DecodeOptions) -> Result<(), DataError> {
    let mut picture = decode_file(path)?;
    // Before resizing, lest what is blanked shine through into pixels beside it; and after it, so that edges are clean.
    options.masks.iter().for_each(|mask| mask.blank_picture(&mut picture));
    let resized = resize_bilinear(&picture, options.height, options.width);
    for (to, from) in bytes.chunks_exact_mut(4).zip(resized.chunks_exact(3)) {
        to.copy_from_slice(&[from[0].round() as u8, from[1].round() as u8, from[2].round() as u8, 255]);
    }
    options.masks.iter().for_each(|mask| mask.blank(bytes, (options.height, options.width), 4));
    Ok(())
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
    let size = options.height * options.width * 4;
    // Every picture goes straight to its place: sets fill much of the memory, and must not stand in it twice.
    let mut bytes = vec![0; samples.len() * size];
    let done = AtomicUsize::new(0);
    let results: Vec<Result<(), DataError>> = bytes
        .par_chunks_exact_mut(size.max(1))
        .zip(samples)
        .map(|(bytes, sample)| {
            let result = decode_into(bytes, &sample.path, options);
            progress(done.fetch_add(1, Ordering::Relaxed) + 1);
            result
        })
        .collect();

    let (mut labels, mut paths, mut skipped) = (Vec::new(), Vec::new(), Vec::new());
    for (index, (sample, result)) in samples.iter().zip(results).enumerate() {
        match result {
            Ok(()) => {
                // Close the gap that pictures left out before it have made.
                if index > labels.len() {
                    bytes.copy_within(index * size..(index + 1) * size, labels.len() * size);
                }
                labels.push(sample.label as u32);
                paths.push(sample.path.clone());
            }
            Err(DataError::Unreadable { path, reason }) if !options.strict => skipped.push((path, reason)),
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(labels.len() * size);
    if let (true, Some((path, reason))) = (labels.is_empty(), skipped.first()) {
        return Err(DataError::NothingReadable { count: samples.len(), path: path.clone(), reason: reason.clone() });
    }
    let left: HashSet<u32> = labels.iter().copied().collect();
    if let Some(lost) = samples.iter().find(|sample| !left.contains(&(sample.label as u32))) {
        let (path, reason) = skipped.iter().find(|(path, _)| *path == lost.path).cloned().unwrap_or_default();
        let folder = lost.path.parent().unwrap_or(Path::new("")).to_owned();
        return Err(DataError::ClassUnreadable { folder, path, reason });
    }
    Ok(Pixels { bytes, labels, paths, skipped })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_claim_more_than_memory_are_refused_in_every_format() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let side = 30_000_u16;
        // Where each format keeps width and height, found by what stands before them in a picture of 16 × 16.
        for (name, before, big_endian) in
            [("a.gif", &b"GIF89a"[..], false), ("a.jpg", &[0xff, 0xc0, 0, 17, 8], true), ("a.png", b"IHDR", true)]
        {
            let path = root.path().join(name);
            RgbImage::new(16, 16).save(&path).expect("written");
            let mut bytes = std::fs::read(&path).expect("read");
            let at = bytes.windows(before.len()).position(|w| w == before).expect("a header") + before.len();
            let pair = if big_endian { side.to_be_bytes() } else { side.to_le_bytes() };
            if name == "a.png" {
                bytes[at..at + 8].copy_from_slice(&[0, 0, pair[0], pair[1], 0, 0, pair[0], pair[1]]);
                // The header's own checksum, or the decoder would stop at that.
                let sum = checksum(&bytes[at - 4..at + 13]).to_be_bytes();
                bytes[at + 13..at + 17].copy_from_slice(&sum);
            } else {
                bytes[at..at + 4].copy_from_slice(&[pair, pair].concat());
            }
            std::fs::write(&path, bytes).expect("written");
            let error = decode_file(&path).expect_err(name).to_string();
            assert!(error.contains("30000 × 30000"), "{error}");
        }
    }

    /// PNG's CRC-32.
    fn checksum(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0, |sum, byte| {
            (0..8).fold(sum ^ u32::from(*byte), |s: u32, _| if s & 1 == 1 { 0xedb8_8320 ^ (s >> 1) } else { s >> 1 })
        })
    }

    #[test]
    fn pictures_keep_their_places_when_others_between_them_are_left_out() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let mut samples = Vec::new();
        for index in 0..7_u8 {
            let path = root.path().join(format!("{index}.png"));
            if index % 3 == 1 {
                std::fs::write(&path, "no picture").expect("written");
            } else {
                RgbImage::from_pixel(5, 4, image::Rgb([index, 0, 100 + index])).save(&path).expect("written");
            }
            samples.push(Sample { path, label: usize::from(index % 2) });
        }
        let calls = AtomicUsize::new(0);
        let options = DecodeOptions { height: 2, width: 3, strict: false, masks: Vec::new() };
        let pixels =
            decode(&samples, &options, &|_| _ = calls.fetch_add(1, Ordering::Relaxed)).expect("some are whole");
        assert_eq!(calls.into_inner(), 7);
        let expected: Vec<u8> =
            [0, 2, 3, 5, 6].into_iter().flat_map(|index| [index, 0, 100 + index, 255].repeat(6)).collect();
        assert_eq!(pixels.bytes, expected);
        assert_eq!(pixels.labels, [0, 0, 1, 1, 0]);
        assert_eq!(pixels.skipped.len(), 2);
        let lost = [Sample { label: 2, ..samples[1].clone() }, samples[2].clone()];
        assert!(matches!(decode(&lost, &options, &|_| ()), Err(DataError::ClassUnreadable { .. })));
    }
}
