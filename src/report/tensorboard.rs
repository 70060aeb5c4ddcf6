//! Event files that TensorBoard reads: `train/` and `test/` in a folder, with the tags that Keras's callback writes.
//!
//! An event is a protocol buffer (tensorflow/core/util/event.proto), framed as a TFRecord: its length in 8 bytes, the
//! masked CRC-32C of those, the event, its masked CRC-32C (tensorflow/core/lib/io/record_writer.h). The horizontal axis
//! is the training step; an interrupted run that goes on says from which, so that TensorBoard drops what was done twice.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use prost::Message;

use super::{EpochEnd, Moment, Observer, ReportError};

/// What is written may wait this long before it can be read.
const FLUSH_EVERY: Duration = Duration::from_secs(2);

/// `tensorflow.Event`.
#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(oneof = "What", tags = "3, 5, 7")]
    what: Option<What>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum What {
    #[prost(string, tag = "3")]
    FileVersion(String),
    #[prost(message, tag = "5")]
    Summary(Summary),
    #[prost(message, tag = "7")]
    SessionLog(SessionLog),
}

/// `tensorflow.Summary`.
#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Value>,
}

/// `tensorflow.Summary.Value`.
#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

/// `tensorflow.SessionLog`; status 1 is a start: events of this and later steps that came before it do not count.
#[derive(Clone, PartialEq, Message)]
struct SessionLog {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// CRC-32C (Castagnoli), rotated and shifted, as TFRecords have it lest a checksum be taken of checksums.
fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

fn record(event: &Event) -> Vec<u8> {
    let event = event.encode_to_vec();
    let length = (event.len() as u64).to_le_bytes();
    [&length[..], &masked_crc(&length).to_le_bytes(), &event, &masked_crc(&event).to_le_bytes()].concat()
}

/// One file of events.
struct EventFile {
    path: PathBuf,
    file: BufWriter<File>,
}

impl EventFile {
    /// A new file in `folder`, which is made if need be.
    fn create(folder: &Path, first_step: u64) -> Result<EventFile, ReportError> {
        let fail =
            |e: std::io::Error| ReportError::Write { path: folder.to_owned(), reason: format!("its events: {e}") };
        std::fs::create_dir_all(folder).map_err(fail)?;
        // TensorBoard reads a folder's files in the order of their names, and takes those that name tfevents.
        let (seconds, process) = (now() as u64, std::process::id());
        let names = (0..).map(|n| folder.join(format!("events.out.tfevents.{seconds}.{process}.{n}.glowworm")));
        for path in names {
            match File::create_new(&path) {
                Ok(file) => {
                    let mut events = EventFile { path, file: BufWriter::new(file) };
                    events.write(0, What::FileVersion("brain.Event:2".to_owned()))?;
                    if first_step > 0 {
                        events.write(first_step, What::SessionLog(SessionLog { status: 1 }))?;
                    }
                    return Ok(events);
                }
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(fail(e)),
            }
        }
        Err(fail(std::io::ErrorKind::AlreadyExists.into()))
    }

    fn write(&mut self, step: u64, what: What) -> Result<(), ReportError> {
        let event = Event { wall_time: now(), step: step as i64, what: Some(what) };
        self.file.write_all(&record(&event)).map_err(|e| self.fail(e))
    }

    fn scalars(&mut self, step: u64, values: &[(&str, f64)]) -> Result<(), ReportError> {
        let value = |(tag, v): &(&str, f64)| Value { tag: (*tag).to_owned(), simple_value: Some(*v as f32) };
        self.write(step, What::Summary(Summary { value: values.iter().map(value).collect() }))
    }

    fn flush(&mut self) -> Result<(), ReportError> {
        self.file.flush().map_err(|e| self.fail(e))
    }

    fn fail(&self, error: std::io::Error) -> ReportError {
        ReportError::Write { path: self.path.clone(), reason: error.to_string() }
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
}

/// Writes a training's figures for TensorBoard.
pub struct TensorBoard {
    train: EventFile,
    test: EventFile,
    flushed: Instant,
    /// The first failure within an epoch, to be told at its end.
    failed: Option<ReportError>,
}

impl TensorBoard {
    /// Begins files in `folder`/train and `folder`/test, for a training that stands after step `step`.
    ///
    /// # Errors
    /// [`ReportError::Write`].
    pub fn create(folder: &Path, step: u64) -> Result<TensorBoard, ReportError> {
        // Steps up to `step` are kept.
        let first = if step == 0 { 0 } else { step + 1 };
        let [train, test] = ["train", "test"].map(|part| EventFile::create(&folder.join(part), first));
        Ok(TensorBoard { train: train?, test: test?, flushed: Instant::now(), failed: None })
    }
}

impl Observer for TensorBoard {
    fn epoch_begins(&mut self, _epoch: usize, _done: usize) {}

    /// The means of the epoch so far, as Keras writes them for each batch.
    fn step(&mut self, moment: &Moment) {
        let values = [("batch_loss", moment.loss), ("batch_accuracy", moment.accuracy)];
        let mut written = self.train.scalars(moment.step, &values);
        if self.flushed.elapsed() > FLUSH_EVERY {
            self.flushed = Instant::now();
            written = written.and_then(|()| self.train.flush());
        }
        self.failed = self.failed.take().or(written.err());
    }

    fn epoch_ends(&mut self, end: &EpochEnd) -> Result<(), ReportError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let epoch = end.epoch;
        let values = [
            ("epoch_loss", epoch.loss),
            ("epoch_accuracy", epoch.accuracy),
            ("epoch_learning_rate", end.learning_rate),
            ("epoch_seconds", epoch.seconds),
        ];
        self.train.scalars(end.step, &values)?;
        if let (Some(loss), Some(accuracy)) = (epoch.val_loss, epoch.val_accuracy) {
            self.test.scalars(end.step, &[("epoch_loss", loss), ("epoch_accuracy", accuracy)])?;
        }
        self.train.flush()?;
        self.test.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes that TensorBoard 2.21's own writer gives:
    ///
    /// ```python
    /// from tensorboard.compat.proto import event_pb2, summary_pb2
    /// from tensorboard.summary.writer.record_writer import RecordWriter
    /// s = summary_pb2.Summary(value=[summary_pb2.Summary.Value(tag="epoch_loss", simple_value=0.5)])
    /// RecordWriter(f).write(event_pb2.Event(wall_time=1.5, step=7, summary=s).SerializeToString())
    /// e = event_pb2.Event(wall_time=2.5, step=8, session_log=event_pb2.SessionLog(status=1))
    /// RecordWriter(f).write(e.SerializeToString())
    /// ```
    #[test]
    fn records_are_those_of_tensorboards_own_writer() {
        let value = Value { tag: "epoch_loss".to_owned(), simple_value: Some(0.5) };
        let summary = What::Summary(Summary { value: vec![value] });
        let first = Event { wall_time: 1.5, step: 7, what: Some(summary) };
        let start = What::SessionLog(SessionLog { status: 1 });
        let second = Event { wall_time: 2.5, step: 8, what: Some(start) };
        let hex = |event: &Event| record(event).iter().map(|b| format!("{b:02x}")).collect::<String>();
        assert_eq!(
            hex(&first),
            "200000000000000029eda95009000000000000f83f10072a130a110a0a65706f63685f6c6f7373150000003f13c25418"
        );
        assert_eq!(hex(&second), "0f000000000000006d532b0909000000000000044010083a020801b8092dca");
    }
}
