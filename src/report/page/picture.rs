//! Pictures within the page.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::codecs::jpeg::JpegEncoder;
use image::{ImageFormat, RgbImage};

const JPEG_QUALITY: u8 = 88;

/// A picture, its bytes within its address.
#[derive(Clone, Debug)]
pub struct Picture {
    /// `data:image/…;base64,…`
    pub address: String,
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// What can be seen, for those who cannot.
    pub alt: String,
}

impl Picture {
    /// A photograph, as JPEG.
    pub fn photograph(picture: &RgbImage, alt: String) -> Picture {
        let mut bytes = Vec::new();
        let done = JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY).encode_image(picture);
        Picture::new("jpeg", done.map_or_else(|_| Vec::new(), |()| bytes), picture, alt)
    }

    /// Flat colours with sharp edges, as PNG.
    pub fn map(picture: &RgbImage, alt: String) -> Picture {
        let mut bytes = std::io::Cursor::new(Vec::new());
        let done = picture.write_to(&mut bytes, ImageFormat::Png);
        Picture::new("png", done.map_or_else(|_| Vec::new(), |()| bytes.into_inner()), picture, alt)
    }

    /// Encoding into memory fails for pictures without pixels only; those have an address without bytes.
    fn new(format: &str, bytes: Vec<u8>, picture: &RgbImage, alt: String) -> Picture {
        let address = format!("data:image/{format};base64,{}", STANDARD.encode(bytes));
        Picture { address, width: picture.width(), height: picture.height(), alt }
    }
}
