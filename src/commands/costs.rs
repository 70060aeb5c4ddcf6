//! What a run cost: time and memory, summed up over its interruptions, in the run folder's `costs.json`.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{CommandError, RunFolder};
use crate::files::{read_text_at_most, write_atomically};
use crate::gpu::Gpu;
use crate::report::page::Fact;

const FILE: &str = "costs.json";
/// Some hundred bytes a session.
const MOST: u64 = 1 << 20;

/// One process that trained into the run folder, up to the last epoch that it finished, or its end.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Session {
    seconds: f64,
    /// Most bytes of memory that the process has had, where the system says so.
    process_bytes: Option<u64>,
    /// Bytes that it held on the device while training, where the driver says so.
    device_bytes: Option<u64>,
}

/// The clock of a training, and the sessions before it.
pub(super) struct Costs {
    earlier: Vec<Session>,
    start: Instant,
}

impl Costs {
    /// Starts the clock.
    pub fn start(run: &RunFolder) -> Costs {
        Costs { earlier: read(run), start: Instant::now() }
    }

    /// Writes what the run has cost so far.
    ///
    /// # Errors
    /// [`CommandError::File`].
    pub fn write(&self, run: &RunFolder, gpu: &Gpu) -> Result<(), CommandError> {
        let now = Session {
            seconds: self.start.elapsed().as_secs_f64(),
            process_bytes: peak_memory(),
            device_bytes: gpu.allocated_bytes(),
        };
        let sessions: Vec<&Session> = self.earlier.iter().chain([&now]).collect();
        let path = run.file(FILE);
        let text = serde_json::to_string_pretty(&sessions).map_err(std::io::Error::from);
        text.and_then(|text| write_atomically(&path, text.as_bytes()))
            .map_err(|e| CommandError::File { path, reason: format!("it cannot be written: {e}") })
    }
}

/// The sessions so far; none of a run that has no record of them, or a broken one: it is of no other use.
fn read(run: &RunFolder) -> Vec<Session> {
    let text = read_text_at_most(&run.file(FILE), MOST).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

/// What the run cost, in words.
pub(super) fn facts(run: &RunFolder) -> Vec<Fact> {
    let sessions = read(run);
    let mut facts = Vec::new();
    let mut fact = |name: &str, value: String| facts.push((name.to_owned(), value));
    if sessions.is_empty() {
        return facts;
    }
    let total = words(sessions.iter().map(|s| s.seconds).sum());
    match sessions.len() {
        1 => fact("training took", total),
        count => fact("training took", format!("{total}, in {count} sessions")),
    }
    let most = |bytes: fn(&Session) -> Option<u64>| sessions.iter().filter_map(bytes).max();
    let size = |bytes: u64| format!("{:.0} MiB", bytes as f64 / (1 << 20) as f64);
    if let Some(bytes) = most(|s| s.process_bytes) {
        fact("peak memory of the program", size(bytes));
    }
    if let Some(bytes) = most(|s| s.device_bytes) {
        fact("memory on the device (of a software adapter, a part of the program's)", size(bytes));
    }
    facts
}

fn words(seconds: f64) -> String {
    let whole = Duration::from_secs_f64(seconds.max(0.0)).as_secs();
    match (whole / 3600, whole / 60 % 60, whole % 60) {
        (0, 0, _) => format!("{seconds:.1} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

/// The largest memory that this process has had, in bytes.
#[cfg(unix)]
fn peak_memory() -> Option<u64> {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF).ok()?;
    // Kibibytes, but bytes on Apple's systems (their getrusage(2)).
    let unit = if cfg!(target_vendor = "apple") { 1 } else { 1024 };
    u64::try_from(usage.max_rss()).ok().map(|size| size * unit)
}

#[cfg(not(unix))]
fn peak_memory() -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_aloud() {
        assert_eq!([3.06, 83.0, 7384.0].map(words), ["3.1 s", "1 min 23 s", "2 h 3 min"]);
    }

    #[cfg(unix)]
    #[test]
    fn the_peak_is_that_of_this_process() {
        let before = peak_memory().expect("the system says so");
        let block = vec![1_u8; 64 << 20];
        let after = peak_memory().expect("the system says so");
        assert!(block[12345] == 1 && after >= before && after > 64 << 20, "{before} {after}");
    }
}
