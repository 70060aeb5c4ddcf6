//! `glowworm check`: what is wrong with a folder of pictures.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::Args;
use rayon::prelude::*;

use super::{CommandError, findings, run_folder};
use crate::data::Decoded;
use crate::data::Region;
use crate::data::check::{Looked, Survey, check, look};
use crate::names::printable;
use crate::report::{Output, progress};

/// Contact sheets of each kind.
const MOST_SHEETS: usize = 10;

/// Options of `check`.
#[derive(Args)]
pub struct CheckArgs {
    /// Folder with train/<class>/ and test/<class>/, or with the classes themselves
    data: PathBuf,
    /// Folder for check.json and the contact sheets [default: checks/<data>-<number>]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Take warnings as errors: end with an exit code that says so
    #[arg(long)]
    strict: bool,
    /// Blank a part of every picture first, as training with the same option does. May be given several times
    #[arg(long, value_name = "LEFT,TOP,RIGHT,BOTTOM")]
    mask: Vec<Region>,
    /// Print check.json, and write nothing
    #[arg(long, conflicts_with = "out")]
    json: bool,
}

/// Checks.
///
/// # Errors
/// [`CommandError`].
pub fn run(args: &CheckArgs) -> Result<(), CommandError> {
    let survey = Survey::open(&args.data)?;
    let output = Output::detect(args.json);
    let counter = progress::counter(output, "looking at", survey.items.len());
    let done = AtomicUsize::new(0);
    let look_at = |path: &PathBuf| -> Looked {
        let mut decoded = Decoded::open(path);
        if let Ok(decoded) = &mut decoded {
            args.mask.iter().for_each(|mask| mask.blank_picture(&mut decoded.picture));
        }
        counter(done.fetch_add(1, Ordering::Relaxed) + 1);
        look(decoded.as_ref())
    };
    let looks: Vec<Looked> = survey.items.par_iter().map(|item| look_at(&item.path)).collect();
    let report = check(&survey, &looks, &progress::counter(output, "comparing", survey.items.len()));
    if args.json {
        let text = serde_json::to_string_pretty(&report);
        println!("{}", text.map_err(|e| CommandError::File { path: args.data.clone(), reason: e.to_string() })?);
    } else {
        let folder = run_folder::new_folder(args.out.as_deref(), "checks", &run_folder::name_of(&args.data))?;
        print!("{}", printable(&report.to_string()));
        println!("\nwritten  {}", printable(&findings::write(&report, &folder)?.display().to_string()));
        let (sheets, left_out) = findings::draw_sheets(&report, &folder, MOST_SHEETS)?;
        sheets.iter().for_each(|sheet| println!("         {}", printable(&sheet.display().to_string())));
        if left_out > 0 {
            println!("         ({left_out} pairs more are in check.json alone)");
        }
    }
    if args.strict { findings::refuse_warnings(&report) } else { Ok(()) }
}
