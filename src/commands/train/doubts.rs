//! What a cross-validation leaves for people to look at: the pictures whose labels are likely wrong, and a page.

use rayon::prelude::*;

use super::Asked;
use crate::commands::{CommandError, RunFolder, Settings, costs, findings, report};
use crate::data::check::{CheckReport, grouped};
use crate::names::printable;
use crate::report::contact_sheet::{self, Cell};
use crate::report::page::{Diagram, Example, FoldsPage, Picture};
use crate::report::{OutOfFold, Suspect, write_png};

/// The table of the doubtful pictures.
pub(super) const TABLE: &str = "mislabelled.csv";

const MOST_SHEETS: usize = 4;
/// So many are named in the terminal, and shown on the page.
const NAMED: usize = 5;
const SHOWN: usize = 24;

/// Draws contact sheets of the doubtful pictures, names the most doubtful, and writes the page unless the user wants none.
///
/// # Errors
/// [`CommandError`].
pub(super) fn tell(
    asked: &Asked,
    run: &RunFolder,
    settings: &Settings,
    result: &OutOfFold,
    suspects: &[Suspect],
    check: Option<&CheckReport>,
) -> Result<(), CommandError> {
    let Asked { args, say, .. } = *asked;
    draw_sheets(run, settings, result, suspects)?;
    match suspects {
        [] => say.line("labels   none of them is likely wrong"),
        _ => {
            let count = match suspects.len() {
                1 => "1 is".to_owned(),
                count => format!("{} are", grouped(count)),
            };
            let run = run.path().display();
            say.line(format_args!(
                "labels   {count} likely wrong: {run}/{TABLE}, and to look at {run}/mislabelled-1.png"
            ));
        }
    }
    for suspect in suspects.iter().take(NAMED) {
        say.line(format_args!("         {}: {}", result.files[suspect.picture], words(suspect, result).join(", ")));
    }
    if args.no_report {
        return Ok(());
    }
    let path = run.file("report.html");
    page(run, settings, result, suspects, check)?.write(&path)?;
    say.line(format_args!("report   {}", path.display()));
    if args.open { report::open(&path) } else { Ok(()) }
}

/// What it is labelled as, and what the networks say.
fn words(suspect: &Suspect, result: &OutOfFold) -> [String; 2] {
    let [label, suggested] = [suspect.label, suspect.suggested].map(|class| &result.classes[class]);
    let [own, other] = suspect.probabilities.map(|probability| 100.0 * probability);
    [format!("labelled {label} ({own:.1} %)"), format!("said to be {suggested} ({other:.1} %)")]
}

fn draw_sheets(
    run: &RunFolder,
    settings: &Settings,
    result: &OutOfFold,
    suspects: &[Suspect],
) -> Result<(), CommandError> {
    let pages = suspects.len().div_ceil(contact_sheet::CELLS);
    let path = |page: usize| run.file(&format!("mislabelled-{}.png", page + 1));
    for (index, page) in suspects.chunks(contact_sheet::CELLS).take(MOST_SHEETS).enumerate() {
        let cell = |suspect: &Suspect| Cell {
            tiles: vec![findings::tile(&settings.data, &result.files[suspect.picture])],
            remarks: words(suspect, result).to_vec(),
        };
        let cells: Vec<Cell> = page.par_iter().map(cell).collect();
        let data = settings.data.display();
        let title =
            format!("{data}, sheet {} of {pages}: labels that are likely wrong, the likeliest first", index + 1);
        let path = path(index);
        let sheet = contact_sheet::draw(&title, &cells);
        let sheet = sheet.map_err(|reason| CommandError::File { path: path.clone(), reason })?;
        write_png(&sheet, &path)?;
    }
    // Sheets of the same run after fewer epochs, when more was doubted.
    (pages..MOST_SHEETS).for_each(|page| _ = std::fs::remove_file(path(page)));
    Ok(())
}

fn page(
    run: &RunFolder,
    settings: &Settings,
    result: &OutOfFold,
    suspects: &[Suspect],
    check: Option<&CheckReport>,
) -> Result<FoldsPage, CommandError> {
    let example = |suspect: &Suspect| {
        let [label, suggested] = [suspect.label, suspect.suggested].map(|class| &result.classes[class]);
        let [own, other] = suspect.probabilities.map(|probability| format!("{:.1}\u{a0}%", 100.0 * probability));
        let tile = findings::tile(&settings.data, &result.files[suspect.picture]);
        let file = printable(&tile.name);
        // A picture that has gone since leaves its place empty.
        let picture = tile.picture.unwrap_or_else(|| image::RgbImage::from_pixel(8, 8, image::Rgb([236; 3])));
        Example {
            picture: Picture::photograph(&picture, format!("The training picture {file}, labelled {label}")),
            said: format!("{suggested} {other}"),
            truth: Some(format!("{label} {own}")),
            heatmaps: Vec::new(),
            file,
        }
    };
    let evaluation = result.evaluation();
    let folds = result.scores.len();
    let pictures = format!("{}, each held out once, {} classes", grouped(result.files.len()), result.classes.len());
    let epochs = format!("{} for each of {folds} networks", settings.recipe.epochs);
    Ok(FoldsPage {
        name: run.path().file_name().unwrap_or(run.path().as_os_str()).to_string_lossy().into_owned(),
        scores: result.scores.clone(),
        accuracy: result.accuracy(),
        loss: result.loss(),
        diagram: Diagram::new(&evaluation.calibration),
        suspects: suspects.iter().take(SHOWN).map(example).collect(),
        doubted: suspects.len(),
        findings: check.map(report::findings),
        settings: report::facts(settings, pictures, epochs),
        all_settings: run.settings_text()?,
        costs: costs::facts(run),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        evaluation,
    })
}
