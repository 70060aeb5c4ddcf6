//! What `check` and `train` leave of a check in a folder: `check.json`, and contact sheets of the pairs.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::CommandError;
use crate::data::check::{CheckReport, Kind, Pair};
use crate::data::decode_file;
use crate::files::{read_text_at_most, write_atomically};
use crate::report::contact_sheet::{self, Cell, Tile};
use crate::report::write_png;

const FILE: &str = "check.json";
/// A million pairs take some 200 MB.
const MOST_BYTES: u64 = 1 << 30;

/// The pairs of which there are sheets.
const SHEETS: [(Kind, &str, &str); 3] = [
    (Kind::Leak, "leaks", "among the training pictures (left) and the test pictures (right)"),
    (Kind::Conflict, "labels", "the same picture in two classes"),
    (Kind::Repeat, "repeats", "the same picture twice in a class"),
];

fn fail(path: &Path, reason: impl std::fmt::Display) -> CommandError {
    CommandError::File { path: path.to_owned(), reason: reason.to_string() }
}

/// Writes `check.json`.
///
/// # Errors
/// [`CommandError::File`].
pub fn write(report: &CheckReport, folder: &Path) -> Result<PathBuf, CommandError> {
    let path = folder.join(FILE);
    let text = serde_json::to_string_pretty(report).map_err(|e| fail(&path, e))?;
    write_atomically(&path, text.as_bytes()).map_err(|e| fail(&path, format!("it cannot be written: {e}")))?;
    Ok(path)
}

/// The check of a run, if there was one.
///
/// # Errors
/// [`CommandError::File`] for a file that is none.
pub fn read(folder: &Path) -> Result<Option<CheckReport>, CommandError> {
    let path = folder.join(FILE);
    match read_text_at_most(&path, MOST_BYTES) {
        Ok(text) => serde_json::from_str(&text).map(Some).map_err(|e| fail(&path, format!("it is no check: {e}"))),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(fail(&path, format!("it cannot be read: {e}"))),
    }
}

/// Draws contact sheets of the pairs into `folder`, at most so many of each kind; gives their files, and how many pairs of
/// all there are do not stand on them.
///
/// # Errors
/// [`CommandError`].
pub fn draw_sheets(report: &CheckReport, folder: &Path, most: usize) -> Result<(Vec<PathBuf>, usize), CommandError> {
    let (mut files, mut left_out) = (Vec::new(), 0);
    for (kind, name, title) in SHEETS {
        let mut pairs: Vec<&Pair> = report.pairs.iter().filter(|pair| pair.is(kind)).collect();
        // Near copies first: they are a matter of judgement.
        pairs.sort_by_key(|pair| pair.similarity.is_none());
        left_out += pairs.len().saturating_sub(most * contact_sheet::CELLS);
        for (index, page) in pairs.chunks(contact_sheet::CELLS).take(most).enumerate() {
            let path = folder.join(format!("{name}-{}.png", index + 1));
            let pages = pairs.len().div_ceil(contact_sheet::CELLS);
            let title = format!("{}, sheet {} of {pages}: {title}", report.folder.display(), index + 1);
            let cells: Vec<Cell> = page.par_iter().map(|pair| cell(report, pair)).collect();
            let sheet = contact_sheet::draw(&title, &cells).map_err(|reason| fail(&path, reason))?;
            write_png(&sheet, &path)?;
            files.push(path);
        }
    }
    Ok((files, left_out))
}

fn cell(report: &CheckReport, pair: &Pair) -> Cell {
    let remark = match pair.similarity {
        None => "equal to the last pixel".to_owned(),
        Some(similarity) => format!("near copies: their details correlate by {similarity:.3}"),
    };
    Cell { tiles: pair.files.iter().map(|name| tile(&report.folder, name)).collect(), remarks: vec![remark] }
}

/// A picture of a contact sheet: `name` is its path below the data set's folder.
pub fn tile(folder: &Path, name: &str) -> Tile {
    let picture = decode_file(&folder.join(name)).ok();
    Tile { picture: picture.map(|picture| contact_sheet::fit(&picture)), name: name.to_owned() }
}

/// For `--strict`: warnings are an error that names them.
///
/// # Errors
/// [`CommandError::Strict`].
pub fn refuse_warnings(report: &CheckReport) -> Result<(), CommandError> {
    let warnings: Vec<String> = report.warnings().map(|finding| report.lines(finding).join("\n    ")).collect();
    if warnings.is_empty() { Ok(()) } else { Err(CommandError::Strict { warnings }) }
}
