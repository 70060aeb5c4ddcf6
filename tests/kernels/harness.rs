//! What every kernel's test needs: adapters, poisoned buffers, random problems, comparison.

pub use crate::common::bodies;
use glowworm::gpu::{Bindable, Body, Buffer, Dispatch, Gpu, Plan, Quads};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A NaN of our own, so that an element that nobody wrote is told from a computed NaN.
pub const POISON: u32 = 0x7fc0_dead;
const GUARD: usize = 64;

/// An input, followed by poison.
pub fn input(gpu: &Gpu, data: &[f32]) -> Buffer {
    let mut words: Vec<u32> = data.iter().map(|v| v.to_bits()).collect();
    words.resize(data.len() + GUARD, POISON);
    gpu.buffer_with("input", &words).expect("room for an input")
}

/// Whole words, followed by poison.
pub fn words(gpu: &Gpu, data: &[u32]) -> Buffer {
    let mut words = data.to_vec();
    words.resize(data.len() + GUARD, POISON);
    gpu.buffer_with("input", &words).expect("room for an input")
}

/// An output of `count` words, all poison.
pub fn output(gpu: &Gpu, count: usize) -> Buffer {
    gpu.buffer_with("output", &vec![POISON; count + GUARD]).expect("room for an output")
}

/// Every body, with what makes its quads in the memory of either: a kernel over [`Quads`] takes both wherever it runs.
pub fn bodies_and_memories() -> Vec<(Gpu, Gpu)> {
    let kinds = [Body::Tiles, Body::Lanes];
    bodies().into_iter().flat_map(|gpu| kinds.map(|kind| (gpu.clone(), gpu.with_body(kind)))).collect()
}

fn quads(gpu: &Gpu, data: impl Iterator<Item = u32>, count: usize) -> Quads {
    let quads = gpu.quads("quads", ((count + GUARD) * 4) as u64).expect("room for quads");
    let mut words: Vec<u32> = data.collect();
    words.resize(quads.bytes() as usize / 4, POISON);
    gpu.write_quads(&quads, bytemuck::cast_slice(&words));
    quads
}

/// An input in the memory that the body's convolutions read, followed by poison.
pub fn quads_input(gpu: &Gpu, data: &[f32]) -> Quads {
    quads(gpu, data.iter().map(|v| v.to_bits()), data.len())
}

/// An output of `count` words in the memory that the body's convolutions write, all poison.
pub fn quads_output(gpu: &Gpu, count: usize) -> Quads {
    quads(gpu, std::iter::empty(), count)
}

/// Runs dispatches in order.
pub fn run(gpu: &Gpu, dispatches: impl IntoIterator<Item = Dispatch>) {
    let mut plan = Plan::new();
    dispatches.into_iter().for_each(|d| plan.push(d));
    plan.submit(gpu, &mut []).expect("it runs");
}

/// Reads the first `count` words of an output and holds the guard behind them against poison.
pub fn read_words(gpu: &Gpu, buffer: &Buffer, count: usize) -> Vec<u32> {
    without_guard(gpu.read(buffer).expect("it can be read"), count)
}

/// [`read_words`] of what a convolution wrote.
pub fn read_quads_words(gpu: &Gpu, quads: &Quads, count: usize) -> Vec<u32> {
    without_guard(gpu.read_quads(quads).expect("it can be read"), count)
}

fn without_guard(mut all: Vec<u32>, count: usize) -> Vec<u32> {
    let guard = all.split_off(count);
    assert!(guard.iter().take(GUARD).all(|w| *w == POISON), "a kernel wrote past the end of its output");
    all
}

/// The same as floats; every element must have been written.
pub fn read(gpu: &Gpu, buffer: &Buffer, count: usize) -> Vec<f32> {
    all_written(read_words(gpu, buffer, count))
}

/// [`read`] of what a convolution wrote.
pub fn read_quads(gpu: &Gpu, quads: &Quads, count: usize) -> Vec<f32> {
    all_written(read_quads_words(gpu, quads, count))
}

fn all_written(words: Vec<u32>) -> Vec<f32> {
    let unwritten = words.iter().filter(|w| **w == POISON).count();
    assert_eq!(unwritten, 0, "{unwritten} of {} elements were never written", words.len());
    words.into_iter().map(f32::from_bits).collect()
}

/// Seeded random numbers.
pub struct Random(ChaCha8Rng);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(ChaCha8Rng::seed_from_u64(seed))
    }

    /// Uniform in [-1, 1).
    pub fn float(&mut self) -> f64 {
        f64::from((self.0.next_u32() >> 8) as f32 / 8_388_608.0 - 1.0)
    }

    pub fn floats(&mut self, count: usize) -> Vec<f64> {
        (0..count).map(|_| self.float()).collect()
    }

    /// Whole, from low to high.
    pub fn whole(&mut self, low: i64, high: i64) -> i64 {
        low + (u64::from(self.0.next_u32()) % (high - low + 1) as u64) as i64
    }

    pub fn integers(&mut self, count: usize, most: i64) -> Vec<f64> {
        (0..count).map(|_| self.whole(-most, most) as f64).collect()
    }

    pub fn size(&mut self, low: usize, high: usize) -> usize {
        self.whole(low as i64, high as i64) as usize
    }
}

/// A reference's sums: the values, and of each the sum of its terms' magnitudes, which bounds what rounding may do.
#[derive(Clone, Debug)]
pub struct Sums {
    pub value: Vec<f64>,
    pub magnitude: Vec<f64>,
}

impl Sums {
    pub fn zeros(count: usize) -> Sums {
        Sums { value: vec![0.0; count], magnitude: vec![0.0; count] }
    }

    pub fn add(&mut self, at: usize, term: f64) {
        self.value[at] += term;
        self.magnitude[at] += term.abs();
    }
}

/// Bit equality, for sums of whole numbers below 2²⁴.
pub fn assert_exact(name: &str, got: &[f32], expected: &[f64]) {
    assert_eq!(got.len(), expected.len(), "{name}: length");
    // Adding zero makes -0 into 0: the sign of a zero is not part of the promise.
    let wrong = |i: &usize| (got[*i] + 0.0).to_bits() != (expected[*i] as f32 + 0.0).to_bits();
    let all: Vec<usize> = (0..got.len()).filter(wrong).collect();
    if let Some(&i) = all.first() {
        panic!("{name}: {} of {} differ; [{i}] is {}, expected {}", all.len(), got.len(), got[i], expected[i]);
    }
}

/// Within 2(h+2)·2⁻²⁴·Σ|terms| for chains of h additions: twice the standard bound of a sum in f32.
#[expect(clippy::neg_cmp_op_on_partial_ord, reason = "a NaN must fail")]
pub fn assert_close(name: &str, got: &[f32], expected: &Sums, chain: usize) {
    assert_eq!(got.len(), expected.value.len(), "{name}: length");
    let unit = 2.0 * (chain as f64 + 2.0) * 2f64.powi(-24);
    let wrong = |i: &usize| !((f64::from(got[*i]) - expected.value[*i]).abs() <= unit * expected.magnitude[*i]);
    let all: Vec<usize> = (0..got.len()).filter(wrong).collect();
    if let Some(&i) = all.first() {
        panic!(
            "{name}: {} of {} are off; [{i}] is {}, expected {} within {:.1e}",
            all.len(),
            got.len(),
            got[i],
            expected.value[i],
            unit * expected.magnitude[i],
        );
    }
}

/// Holds an analytic gradient of Σ cotangent·f(x) against central differences at a sample of places.
pub fn check_gradient(name: &str, f: impl Fn(&[f64]) -> Vec<f64>, x: &[f64], cotangent: &[f64], gradient: &[f64]) {
    let total = |x: &[f64]| f(x).iter().zip(cotangent).map(|(y, c)| y * c).sum::<f64>();
    let step = 1e-6;
    let stride = x.len().div_ceil(60);
    let mut point = x.to_vec();
    for i in (0..x.len()).step_by(stride) {
        point[i] = x[i] + step;
        let above = total(&point);
        point[i] = x[i] - step;
        let below = total(&point);
        point[i] = x[i];
        let difference = (above - below) / (2.0 * step);
        let error = (difference - gradient[i]).abs();
        assert!(
            error <= 1e-6 * (1.0 + gradient[i].abs()),
            "{name}: gradient {} there, difference {difference}",
            gradient[i]
        );
    }
}

/// A broken kernel must not pass: runs a test that should fail.
pub fn assert_caught(name: &str, test: impl FnOnce() + std::panic::UnwindSafe) {
    let result = std::panic::catch_unwind(test);
    let message = result.expect_err(&format!("{name}: the broken kernel passed its test"));
    let text = message.downcast_ref::<String>().cloned().unwrap_or_default();
    // It must fail for its numbers, not because the broken text did not compile.
    assert!(text.contains("differ;") || text.contains("are off;"), "{name}: failed for another reason: {text}");
}

/// `[N,H,W,C]` as quads of channels with a border of `border`, padding and border zero.
pub fn to_quads(plain: &[f64], shape: [usize; 4], border: usize) -> Vec<f32> {
    let mut quads = vec![0.0; quad_len(shape, border)];
    each_quad(shape, border, |from, to| quads[to] = plain[from] as f32);
    quads
}

/// Length of [`to_quads`]'s result.
pub fn quad_len([n, h, w, c]: [usize; 4], border: usize) -> usize {
    n * c.div_ceil(4) * (h + 2 * border) * (w + 2 * border) * 4
}

/// The plain tensor inside quads.
pub fn from_quads(quads: &[f32], shape: [usize; 4], border: usize) -> Vec<f32> {
    let mut plain = vec![0.0; shape.iter().product()];
    each_quad(shape, border, |to, from| plain[to] = quads[from]);
    plain
}

pub fn each_quad([n, h, w, c]: [usize; 4], border: usize, mut pair: impl FnMut(usize, usize)) {
    for image in 0..n {
        for row in 0..h {
            for column in 0..w {
                for channel in 0..c {
                    let plane = image * c.div_ceil(4) + channel / 4;
                    let line = plane * (h + 2 * border) + row + border;
                    let quad = line * (w + 2 * border) + column + border;
                    pair(((image * h + row) * w + column) * c + channel, quad * 4 + channel % 4);
                }
            }
        }
    }
}
