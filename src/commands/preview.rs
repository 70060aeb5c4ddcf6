//! `glowworm preview`: what augmentation makes of some training pictures, on a contact sheet.

use std::path::{Path, PathBuf};

use clap::Args;
use image::RgbImage;

use super::{CommandError, DeviceArgs, train};
use crate::data::{self, DecodeOptions, OpenOptions, Pixels, Sample};
use crate::kernels::softmax::Label;
use crate::names::printable;
use crate::report::contact_sheet::{self, Cell, Tile};
use crate::report::write_png;
use crate::training::{Choices, Images, effective, preview, shuffled};

/// Options of `preview`.
#[derive(Args)]
pub struct PreviewArgs {
    /// Folder with train/<class>/ and test/<class>/, or with the classes themselves [default: data/insects, drawn if need be]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Recipe that says how the pictures are changed, and how large they are: a built-in one, or a TOML file [default: reference]
    #[arg(long, value_name = "NAME|FILE")]
    recipe: Option<String>,
    /// TOML file that says how the pictures are changed, in place of the recipe
    #[arg(long, value_name = "FILE")]
    augmentation: Option<PathBuf>,
    /// Side in pixels that pictures are resized to [default: the recipe's]
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(8..=4096))]
    image_size: Option<u32>,
    /// Pictures to show, the first of a training with this seed
    #[arg(long, default_value_t = contact_sheet::CELLS as u32, value_parser = clap::value_parser!(u32).range(1..=contact_sheet::CELLS as i64))]
    count: u32,
    /// Seed of the order and of what is drawn
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The picture to write [default: preview-<number>.png]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceArgs,
}

fn fail(path: &Path, reason: impl std::fmt::Display) -> CommandError {
    CommandError::File { path: path.to_owned(), reason: reason.to_string() }
}

/// Draws the sheet.
///
/// # Errors
/// [`CommandError`].
pub fn run(args: &PreviewArgs) -> Result<(), CommandError> {
    let (recipe, _) = effective(args.recipe.as_deref(), &Choices::default())?;
    let settings = args.augmentation.as_deref().map_or(Ok(recipe.augmentation), train::read_augmentation)?;
    let out = free_name(args.out.as_deref())?;
    let gpu = args.device.open()?;
    let folder = args.data.clone().map_or_else(train::default_pictures, Ok)?;
    let dataset = data::open(&folder, &OpenOptions { validation_split: 0.15, seed: args.seed })?;
    let order = shuffled(dataset.train.len(), args.seed, 1);
    let first: Vec<Sample> = order.iter().take(args.count as usize).map(|&i| dataset.train[i].clone()).collect();
    let side = args.image_size.unwrap_or(recipe.image_size);
    let options = DecodeOptions { height: side as usize, width: side as usize, strict: false, masks: Vec::new() };
    let pixels = data::decode(&first, &options, &|_| ())?;
    for (path, reason) in &pixels.skipped {
        eprintln!("{}", printable(&format!("skipped {}: {reason}", path.display())));
    }
    let staged = settings.pictures_in_a_row();
    let mut images = Images::new(&gpu, pixels.bytes.clone(), pixels.labels.clone(), staged, None)?;
    let augmented = preview(&gpu, &mut images, (side, side), settings, args.seed)?;

    let sheet = Sheet { folder: &folder, classes: &dataset.classes, pixels: &pixels, side };
    let cells: Vec<Cell> = augmented.into_iter().enumerate().map(|(i, row)| sheet.cell(i, row)).collect();
    let title = printable(&format!("{}, as it is and as it is learnt from: {settings}", folder.display()));
    let picture = contact_sheet::draw(&title, &cells).map_err(|reason| fail(&out, reason))?;
    write_png(&picture, &out)?;
    println!("{}", printable(&format!("written  {}", out.display())));
    Ok(())
}

/// A name that nothing has yet.
fn free_name(out: Option<&Path>) -> Result<PathBuf, CommandError> {
    match out {
        Some(path) if path.exists() => Err(fail(path, "it is there already, and nothing is ever overwritten")),
        Some(path) => Ok(path.to_owned()),
        None => {
            let names = (1u32..).map(|number| PathBuf::from(format!("preview-{number}.png")));
            let free = names.into_iter().find(|path| !path.exists());
            free.ok_or_else(|| {
                CommandError::Usage("no free name is left for the picture; give it one with --out".into())
            })
        }
    }
}

/// What the tiles of a sheet are made from.
struct Sheet<'a> {
    folder: &'a Path,
    classes: &'a [String],
    pixels: &'a Pixels,
    side: u32,
}

impl Sheet<'_> {
    /// A picture as it is, and as the network gets it.
    fn cell(&self, index: usize, (augmented, label): (Vec<u8>, Label)) -> Cell {
        let size = augmented.len() / 3 * 4;
        let plain =
            self.pixels.bytes[index * size..][..size].chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]]).collect();
        let class = |label: u32| self.classes.get(label as usize).map_or("?", String::as_str);
        let (first, second) = (class(label.first), class(label.second));
        let said = match (100.0 * label.share).round() {
            0.0 => first.to_owned(),
            100.0 => second.to_owned(),
            percent if first == second => format!("{first}, {} % and {percent} % of two pictures", 100.0 - percent),
            percent => format!("{} % {first}, {percent} % {second}", 100.0 - percent),
        };
        let tile = |bytes: Vec<u8>, name: String| Tile {
            picture: RgbImage::from_raw(self.side, self.side, bytes),
            name: printable(&name),
        };
        let name = data::name_below(self.folder, &self.pixels.paths[index]);
        Cell { tiles: vec![tile(plain, name), tile(augmented, said)], remarks: Vec::new() }
    }
}
