//! Pictures on disk: folders as classes, decoding and resizing, and the set that the program draws itself.
//! Nothing here knows of the device.

mod decode;
mod drawn;
mod error;
mod folder;
mod insect;
mod region;
mod resize;

pub use decode::{DecodeOptions, Pixels, decode, decode_file, read_picture};
pub use drawn::{draw_default_set, drawn_count};
pub use error::DataError;
pub use folder::{Dataset, OpenOptions, Sample, list_images, open};
pub use region::Region;
pub use resize::resize_bilinear;
