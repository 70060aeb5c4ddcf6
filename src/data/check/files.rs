//! What is wrong with single files.

use image::ImageFormat;

use super::report::count;
use super::{Finding, Item, Kind, Look, Looked, NamedFile, Severity};

/// Sides below this many pixels show hardly anything.
const SMALL_SIDE: u32 = 16;
/// Pictures of more pixels than these, or files of more bytes, only cost time: networks see them scaled down.
const MANY_PIXELS: u64 = 50_000_000;
const MANY_BYTES: u64 = 50 << 20;
/// Sides that differ by more than this many times are squeezed beyond recognition when they are made square.
const ELONGATED: u32 = 3;
/// A picture whose brightness deviates by less, of 255, shows nothing.
const UNIFORM: f32 = 2.0;

/// A kind of finding: which pictures it is about, with a remark on each, and its sentence, `{}` being "3 files".
struct Rule {
    kind: Kind,
    severity: Severity,
    text: &'static str,
    advice: &'static str,
    of: fn(&Item, &Look) -> Option<String>,
}

const RULES: [Rule; 7] = [
    Rule {
        kind: Kind::Truncated,
        severity: Severity::Warning,
        text: "{} cut off: the rest of the picture is made up",
        advice: "copy them anew from where they come from",
        of: |_, look| (!look.complete).then(|| "it ends before the picture does".to_owned()),
    },
    Rule {
        kind: Kind::Uniform,
        severity: Severity::Warning,
        text: "{} nearly uniform: there is nothing to see",
        advice: "leave them out (--exclude-list), lest the network learn their colour",
        of: |_, look| {
            (look.deviation < UNIFORM).then(|| format!("brightness deviates by {:.1} of 255", look.deviation))
        },
    },
    Rule {
        kind: Kind::Tiny,
        severity: Severity::Warning,
        text: "{} very small",
        advice: "look whether they are previews or icons",
        of: |_, look| (look.size.0.min(look.size.1) < SMALL_SIDE).then(|| size(look)),
    },
    Rule {
        kind: Kind::Huge,
        severity: Severity::Note,
        text: "{} very large: decoding takes long, and the network sees them scaled down",
        advice: "scale them down once",
        of: |_, look| {
            let pixels = u64::from(look.size.0) * u64::from(look.size.1);
            (pixels > MANY_PIXELS || look.bytes > MANY_BYTES)
                .then(|| format!("{}, {} MiB", size(look), look.bytes >> 20))
        },
    },
    Rule {
        kind: Kind::Elongated,
        severity: Severity::Note,
        text: "{} more than three times as long as wide, and squeezed when resized to a square",
        advice: "crop them, if what they show is squeezed beyond recognition",
        of: |_, look| {
            let (width, height) = look.size;
            (width.max(height) > width.min(height).saturating_mul(ELONGATED)).then(|| size(look))
        },
    },
    Rule {
        kind: Kind::Mislabelled,
        severity: Severity::Note,
        text: "{} named as another format: read all the same, but other programs may stumble",
        advice: "",
        of: |item, look| {
            let named = ImageFormat::from_path(&item.path).ok()?;
            let content = look.format.extensions_str().first().unwrap_or(&"another").to_uppercase();
            (named != look.format).then(|| format!("its content is {content}"))
        },
    },
    Rule {
        kind: Kind::Turned,
        severity: Severity::Note,
        text: "{} turned by the EXIF orientation: glowworm turns them upright, other trainers may not",
        advice: "",
        of: |_, look| look.turned.then(|| format!("upright {}", size(look))),
    },
];

fn size(look: &Look) -> String {
    format!("{} × {} pixels", look.size.0, look.size.1)
}

/// Findings about files and single pictures.
pub(super) fn findings(items: &[Item], looks: &[Looked]) -> Vec<Finding> {
    let named = |item: &Item, note: String| NamedFile { file: item.name.clone(), note: Some(note) };
    let unreadable: Vec<NamedFile> = items
        .iter()
        .zip(looks)
        .filter_map(|(item, look)| look.as_ref().err().map(|reason| named(item, reason.clone())))
        .collect();
    let mut found = Vec::new();
    if !unreadable.is_empty() {
        let text = format!("{} cannot be read, and would be left out", count(unreadable.len(), "file"));
        let advice = "mend or remove them";
        let finding = Finding::new(Kind::Unreadable, Severity::Warning, text, advice);
        found.push(Finding { files: unreadable, ..finding });
    }
    for rule in RULES {
        let files: Vec<NamedFile> = items
            .iter()
            .zip(looks)
            .filter_map(|(item, look)| (rule.of)(item, look.as_ref().ok()?).map(|note| named(item, note)))
            .collect();
        if !files.is_empty() {
            let verb = if files.len() == 1 { "is" } else { "are" };
            let subject = format!("{} {verb}", count(files.len(), "picture"));
            let text = rule.text.replace("{}", &subject);
            found.push(Finding { files, ..Finding::new(rule.kind, rule.severity, text, rule.advice) });
        }
    }
    found
}
