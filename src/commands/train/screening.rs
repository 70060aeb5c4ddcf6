//! The check before a training, made while the pictures are decoded anyway, and what is left out on its account.

use std::path::Path;
use std::sync::OnceLock;

use super::Say;
use crate::commands::{CommandError, RunFolder, findings};
use crate::data::check::{CheckReport, Looked, Survey, check, look};
use crate::data::{Dataset, DecodeOptions, ExcludeList, Pixels, Sample, Winner, decode_before, enough_left};
use crate::report::{Output, progress};

/// How closely to look.
#[derive(Clone, Copy)]
pub(super) struct Screening {
    /// Take warnings as errors.
    pub strict: bool,
    /// Check at all.
    pub check: bool,
    /// Leave out what leaks.
    pub exclude_leaks: Option<Winner>,
}

/// Decoded pictures, and what was found.
pub(super) struct Screened {
    pub train: Pixels,
    pub test: Pixels,
    /// None without a check.
    pub report: Option<CheckReport>,
}

/// Leaves out what a list names, and says so.
pub(super) fn apply_list(
    list: &ExcludeList,
    by: &str,
    dataset: &mut Dataset,
    folder: &Path,
    say: &Say,
) -> Result<(), CommandError> {
    let is_tested = !dataset.test.is_empty();
    let (count, unknown) = list.leave_out(dataset, folder);
    say.line(format_args!("left out {count} pictures, by {by}"));
    if let Some(first) = unknown.first() {
        say.line(format_args!(
            "note     {} of its lines name no picture of {}, first of all {first}",
            unknown.len(),
            folder.display()
        ));
    }
    let labels = dataset.train.iter().map(|sample| sample.label);
    Ok(enough_left(folder, &dataset.classes, labels, is_tested.then_some(dataset.test.len()), by)?)
}

/// Decodes the pictures of a data set; those left out are added to `excluded`.
pub(super) fn screen(
    dataset: &Dataset,
    folder: &Path,
    options: &DecodeOptions,
    screening: Screening,
    excluded: &mut ExcludeList,
    (output, say): (Output, &Say),
) -> Result<Screened, CommandError> {
    // What cannot be read is among the warnings, which are told all at once.
    let options = DecodeOptions { strict: screening.strict && !screening.check, ..options.clone() };
    let decode_part = |samples: &[Sample], label| {
        let looks: Vec<OnceLock<Looked>> = samples.iter().map(|_| OnceLock::new()).collect();
        let onlooker = |index: usize, decoded: Result<&_, &_>| {
            if screening.check {
                looks[index].get_or_init(|| look(decoded));
            }
        };
        let pixels = decode_before(samples, &options, &progress::counter(output, label, samples.len()), &onlooker)?;
        for (path, reason) in &pixels.skipped {
            say.line(format_args!("skipped  {}: {reason}", path.display()));
        }
        Ok::<_, CommandError>((pixels, looks.into_iter().filter_map(OnceLock::into_inner).collect::<Vec<_>>()))
    };
    let (mut train, mut looks) = decode_part(&dataset.train, "training pictures")?;
    let (mut test, test_looks) = decode_part(&dataset.test, "test pictures")?;
    if !screening.check {
        return Ok(Screened { train, test, report: None });
    }
    looks.extend(test_looks);
    let counter = progress::counter(output, "comparing", looks.len());
    let mut report = check(&Survey::of(dataset, folder), &looks, &counter);
    if let Some(winner) = screening.exclude_leaks {
        let (losers, of) = match winner {
            Winner::TestWins => (report.leaks.train.clone(), "training"),
            Winner::TrainWins => (report.leaks.test.clone(), "test"),
        };
        excluded.extend(&losers);
        [&mut train, &mut test].into_iter().for_each(|pixels| excluded.leave_out_pixels(pixels, folder));
        let text = format!("{} {of} pictures that leaked were left out", losers.len());
        say.line(format_args!("left out {} {of} pictures that leaked", losers.len()));
        report.leaks_left_out(text);
        let labels = train.labels.iter().map(|label| *label as usize);
        let tested = (!dataset.test.is_empty()).then_some(test.labels.len());
        enough_left(folder, &dataset.classes, labels, tested, "--exclude-leaks")?;
    }
    for finding in report.warnings() {
        say.line(format_args!("warning  {}", report.lines(finding).join("\n         ")));
    }
    if screening.strict {
        findings::refuse_warnings(&report)?;
    }
    Ok(Screened { train, test, report: Some(report) })
}

/// Keeps with the run what was found, and what was left out.
pub(super) fn keep(
    run: &RunFolder,
    report: Option<&CheckReport>,
    excluded: &ExcludeList,
    say: &Say,
) -> Result<(), CommandError> {
    if !excluded.is_empty() {
        run.write_excluded(excluded)?;
    }
    let Some(report) = report else { return Ok(()) };
    let file = findings::write(report, run.path())?;
    findings::draw_sheets(report, run.path(), 1)?;
    let warnings = report.warnings().count();
    let notes = report.findings.len() - warnings;
    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    say.line(format_args!("check    {}, {}: {}", count(warnings, "warning"), count(notes, "note"), file.display()));
    Ok(())
}
