//! Durations that criterion writes as times, and as floating-point operations and bytes a second.

use std::time::{Duration, Instant};

use criterion::Throughput;
use criterion::measurement::{Measurement, ValueFormatter};

/// What a benchmark measured itself, on whatever clock.
pub struct DeviceClock;

impl Measurement for DeviceClock {
    type Intermediate = Instant;
    type Value = Duration;

    fn start(&self) -> Instant {
        Instant::now()
    }

    fn end(&self, start: Instant) -> Duration {
        start.elapsed()
    }

    fn add(&self, a: &Duration, b: &Duration) -> Duration {
        *a + *b
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    /// Nanoseconds.
    fn to_f64(&self, value: &Duration) -> f64 {
        value.as_nanos() as f64
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        &Rates
    }
}

struct Rates;

impl ValueFormatter for Rates {
    fn scale_values(&self, typical: f64, values: &mut [f64]) -> &'static str {
        let (unit, nanoseconds) = if typical < 1e6 { ("µs", 1e3) } else { ("ms", 1e6) };
        values.iter_mut().for_each(|value| *value /= nanoseconds);
        unit
    }

    /// Per nanosecond, which is thousands of millions a second.
    fn scale_throughputs(&self, _typical: f64, throughput: &Throughput, values: &mut [f64]) -> &'static str {
        let (unit, count) = match *throughput {
            Throughput::Bits(bits) => ("GB/s", bits / 8),
            Throughput::Bytes(bytes) | Throughput::BytesDecimal(bytes) => ("GB/s", bytes),
            Throughput::Elements(operations) => ("GFLOP/s", operations),
            Throughput::ElementsAndBytes { elements, .. } => ("GFLOP/s", elements),
        };
        values.iter_mut().for_each(|value| *value = count as f64 / *value);
        unit
    }

    fn scale_for_machines(&self, _values: &mut [f64]) -> &'static str {
        "ns"
    }
}
