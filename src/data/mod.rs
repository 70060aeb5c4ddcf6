//! Pictures on disk: folders as classes, decoding and resizing, and the set that the program draws itself.
//! Nothing here knows of the device.

pub mod check;

mod decode;
mod drawn;
mod error;
mod exclude;
mod folder;
mod folds;
mod insect;
mod region;
mod resize;

pub use decode::{DecodeOptions, Decoded, Onlooker, Pixels, decode, decode_before, decode_file, read_picture};
pub use drawn::{draw_default_set, drawn_count};
pub use error::DataError;
pub use exclude::{ExcludeList, Winner, enough_left};
pub use folder::{Dataset, OpenOptions, Sample, list_images, name_below, open};
pub use folds::{folds, groups};
pub use region::Region;
pub use resize::resize_bilinear;
