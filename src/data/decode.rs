//! Reading pictures: any format the decoders know, by content, in parallel.

use std::collections::HashSet;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage};
use rayon::prelude::*;

use super::{DataError, Region, Sample, resize_bilinear};
use crate::files::read_at_most;

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

/// A picture as it was read, and what its file says of itself.
#[derive(Clone, Debug)]
pub struct Decoded {
    /// 8-bit RGB, upright.
    pub picture: RgbImage,
    /// Length of the file.
    pub bytes: u64,
    /// Format of the content, whatever the file's name says.
    pub format: ImageFormat,
    /// Whether an EXIF orientation turned or mirrored it.
    pub turned: bool,
    /// Whether the file goes on to its end mark; decoders make up the rest of a JPEG that was cut off.
    pub complete: bool,
}

impl Decoded {
    /// Reads one picture as 8-bit RGB: turned as its EXIF orientation says, transparency dropped (as TensorFlow does), 16
    /// bits scaled to 8, grey and CMYK converted, the first frame of an animation.
    ///
    /// # Errors
    /// [`DataError::Unreadable`].
    pub fn open(path: &Path) -> Result<Decoded, DataError> {
        let fail = |reason: String| DataError::Unreadable { path: path.to_owned(), reason };
        let about = match std::fs::metadata(path) {
            Err(_) if path.is_symlink() => return Err(fail("it is a link that leads nowhere".to_owned())),
            about => about.map_err(|e| fail(e.to_string()))?,
        };
        if !about.is_file() {
            return Err(fail("it is no file".to_owned()));
        }
        let bytes = read_at_most(path, MOST_MEMORY).map_err(|e| fail(e.to_string()))?;
        Decoded::read(&bytes).map_err(fail)
    }

    /// The same from a file's content. Takes no more memory than two pictures of [`MOST_MEMORY`], whatever a header claims.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(content: &[u8]) -> Result<Decoded, String> {
        if content.is_empty() {
            return Err("the file is empty".to_owned());
        }
        let mut reader = ImageReader::new(Cursor::new(content)).with_guessed_format().map_err(|e| e.to_string())?;
        let Some(format) = reader.format() else {
            return Err("its content is no picture of a known format (BMP, GIF, JPEG, PNG, TIFF, WebP)".to_owned());
        };
        let mut limits = Limits::default();
        limits.max_image_width = Some(LONGEST_SIDE);
        limits.max_image_height = Some(LONGEST_SIDE);
        limits.max_alloc = Some(MOST_MEMORY);
        reader.limits(limits);
        let mut decoder = reader.into_decoder().map_err(|e| e.to_string())?;
        if decoder.total_bytes() == 0 {
            return Err("it has no pixels".to_owned());
        }
        // The limits hold for what decoders take for themselves; some never count the picture that they are asked to fill.
        if decoder.total_bytes() > MOST_MEMORY {
            let (width, height) = decoder.dimensions();
            let most = MOST_MEMORY >> 20;
            return Err(format!("it claims {width} × {height} pixels, which do not fit in {most} MiB; scale it down"));
        }
        let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
        let mut image = DynamicImage::from_decoder(decoder).map_err(|e| e.to_string())?;
        image.apply_orientation(orientation);
        Ok(Decoded {
            picture: image.into_rgb8(),
            bytes: content.len() as u64,
            format,
            turned: orientation != Orientation::NoTransforms,
            complete: format != ImageFormat::Jpeg || reaches_end_of_image(content),
        })
    }
}

/// Reads one picture as [`Decoded::open`] does.
///
/// # Errors
/// [`DataError::Unreadable`].
pub fn decode_file(path: &Path) -> Result<RgbImage, DataError> {
    Ok(Decoded::open(path)?.picture)
}

/// Reads one picture from its content, as [`Decoded::read`] does.
///
/// # Errors
/// What is wrong with it.
pub fn read_picture(mut content: impl Read) -> Result<RgbImage, String> {
    let mut bytes = Vec::new();
    content.read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    Ok(Decoded::read(&bytes)?.picture)
}

/// Walks the segments of a JPEG to its end mark (ITU-T T.81, B.1.1): what stands in their data, a preview for example, is
/// stepped over.
fn reaches_end_of_image(bytes: &[u8]) -> bool {
    let mut at = 2;
    while let Some(&[first, second]) = bytes.get(at..at + 2) {
        match (first, second) {
            (0xff, 0xd9) => return true,
            // A scan's data, in which 0xff is a mark unless 0 or a restart number follows it; marks without a segment.
            (0..=0xfe, _) | (0xff, 0 | 1 | 0xd0..=0xd8 | 0xff) => at += 1,
            _ => {
                let Some(&[high, low]) = bytes.get(at + 2..at + 4) else { return false };
                at += 2 + usize::from(u16::from_be_bytes([high, low]));
            }
        }
    }
    false
}

/// Is told of every picture, as it is read and masked, or why it could not be: index and result.
pub type Onlooker<'a> = &'a (dyn Fn(usize, Result<&Decoded, &DataError>) + Sync);

/// Decodes and resizes one picture into `[H,W,4]`.
fn decode_into(bytes: &mut [u8], picture: &RgbImage, options: &DecodeOptions) {
    let resized = resize_bilinear(picture, options.height, options.width);
    for (to, from) in bytes.chunks_exact_mut(4).zip(resized.chunks_exact(3)) {
        to.copy_from_slice(&[from[0].round() as u8, from[1].round() as u8, from[2].round() as u8, 255]);
    }
    options.masks.iter().for_each(|mask| mask.blank(bytes, (options.height, options.width), 4));
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
    decode_before(samples, options, progress, &|_, _| ())
}

/// [`decode`], with a look at every picture while it is there in full.
///
/// # Errors
/// Those of [`decode`].
pub fn decode_before(
    samples: &[Sample],
    options: &DecodeOptions,
    progress: &(dyn Fn(usize) + Sync),
    onlooker: Onlooker,
) -> Result<Pixels, DataError> {
    let size = options.height * options.width * 4;
    // Every picture goes straight to its place: sets fill much of the memory, and must not stand in it twice.
    let mut bytes = vec![0; samples.len() * size];
    let done = AtomicUsize::new(0);
    let results: Vec<Result<(), DataError>> = bytes
        .par_chunks_exact_mut(size.max(1))
        .zip(samples)
        .enumerate()
        .map(|(index, (bytes, sample))| {
            let result = Decoded::open(&sample.path).map(|mut decoded| {
                // Before resizing, lest what is blanked shine through into pixels beside it; and after it, so that edges
                // are clean.
                options.masks.iter().for_each(|mask| mask.blank_picture(&mut decoded.picture));
                onlooker(index, Ok(&decoded));
                decode_into(bytes, &decoded.picture, options);
            });
            if let Err(error) = &result {
                onlooker(index, Err(error));
            }
            progress(done.fetch_add(1, Ordering::Relaxed) + 1);
            result
        })
        .collect();

    let readable: Vec<bool> = results.iter().map(Result::is_ok).collect();
    let mut skipped = Vec::new();
    for error in results.into_iter().filter_map(Result::err) {
        match error {
            DataError::Unreadable { path, reason } if !options.strict => skipped.push((path, reason)),
            error => return Err(error),
        }
    }
    let mut pixels = Pixels {
        bytes,
        labels: samples.iter().map(|sample| sample.label as u32).collect(),
        paths: samples.iter().map(|sample| sample.path.clone()).collect(),
        skipped,
    };
    pixels.retain(&readable);
    if let (true, Some((path, reason))) = (pixels.labels.is_empty(), pixels.skipped.first()) {
        return Err(DataError::NothingReadable { count: samples.len(), path: path.clone(), reason: reason.clone() });
    }
    let left: HashSet<u32> = pixels.labels.iter().copied().collect();
    if let Some(lost) = samples.iter().find(|sample| !left.contains(&(sample.label as u32))) {
        let (path, reason) = pixels.skipped.iter().find(|(path, _)| *path == lost.path).cloned().unwrap_or_default();
        let folder = lost.path.parent().unwrap_or(Path::new("")).to_owned();
        return Err(DataError::ClassUnreadable { folder, path, reason });
    }
    Ok(pixels)
}

impl Pixels {
    /// The pictures whose `keep`, `[N]`, is true, in order, without the list of those that could not be read.
    pub fn part(&self, keep: &[bool]) -> Pixels {
        let size = self.bytes.len() / self.labels.len().max(1);
        let kept: Vec<usize> = (0..self.labels.len()).filter(|index| keep.get(*index) == Some(&true)).collect();
        Pixels {
            bytes: kept.iter().flat_map(|index| &self.bytes[index * size..(index + 1) * size]).copied().collect(),
            labels: kept.iter().map(|index| self.labels[*index]).collect(),
            paths: kept.iter().map(|index| self.paths[*index].clone()).collect(),
            skipped: Vec::new(),
        }
    }

    /// Leaves out the pictures whose `keep`, `[N]`, is false; the others close up, in order.
    pub fn retain(&mut self, keep: &[bool]) {
        let size = self.bytes.len() / self.labels.len().max(1);
        let kept: Vec<usize> = (0..self.labels.len()).filter(|index| keep.get(*index) != Some(&false)).collect();
        for (to, from) in kept.iter().enumerate() {
            if to < *from {
                self.bytes.copy_within(from * size..(from + 1) * size, to * size);
            }
        }
        self.bytes.truncate(kept.len() * size);
        self.labels = kept.iter().map(|index| self.labels[*index]).collect();
        self.paths = kept.iter().map(|index| std::mem::take(&mut self.paths[*index])).collect();
    }
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
    fn a_jpeg_is_whole_up_to_its_end_mark_and_wherever_it_is_cut_it_is_not() {
        let mut bytes = Vec::new();
        let picture = RgbImage::from_fn(40, 30, |x, y| image::Rgb([(x * y) as u8, (x * 7) as u8, (y * 9) as u8]));
        picture.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Jpeg).expect("encoded");
        assert!(reaches_end_of_image(&bytes));
        assert!((0..bytes.len()).all(|length| !reaches_end_of_image(&bytes[..length])));
        // A preview in a segment of its own has an end mark too; what cameras put behind the picture does not matter.
        let preview = [&[0xff, 0xd8, 0xff, 0xe1, 0, 8, 1, 2, 0xff, 0xd9, 3, 4], &bytes[2..]].concat();
        assert!(reaches_end_of_image(&[&preview[..], b"more"].concat()));
        assert!(!reaches_end_of_image(&preview[..preview.len() - 2]));
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
