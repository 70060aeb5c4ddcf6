//! Whether two pictures show the same, however they were scaled, recompressed, mirrored, slightly cropped or lit.
//!
//! In two stages. A perceptual hash (the signs of the lowest frequencies of a small picture's cosine transform; Zauner,
//! "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010) picks candidates among all pairs; hashes of
//! windows into each picture find it where the other was cropped. The candidates are then laid over each other, the window
//! is moved until they agree best, and the correlation of their details decides.

/// Side of the brightness that is kept, in pixels.
pub(super) const SIDE: usize = 64;
/// Side of the brightness that is hashed, and that windows are first moved on.
const SMALL: usize = SIDE / 2;
/// Frequencies along each side that are hashed, the constant one among them: 11 × 11 − 1 bits.
const FREQUENCIES: usize = 11;
/// The two hashes of a pair of candidates differ in so many of 120 bits at most. Of 100 photographs each, cropped by up to
/// 5 % at every side, scaled, recompressed, mirrored or lit otherwise, two at most differed in more; of 518,671 pairs of
/// different photographs 89 do not.
const MOST_BITS: u32 = 21;
/// Pairs that differ in more bits than these as a whole are not looked into: most comparisons are spared. Of crops by 5 %
/// at every side, or a tenth at one, one or two in a hundred lie beyond.
pub(super) const MOST_BITS_WHOLE: u32 = 48;
/// What windows begin with, and must reach on small and on full size; see [`Fingerprint::similarity`].
const LEAST: [f32; 3] = [0.4, 0.75, SAME];
/// Pictures count as the same from this correlation of their details on. Measured on the photographs and on the drawn set:
/// 98 % of changed copies lie above it (recompressed, scaled, mirrored, brightened: 0.95 and more; cropped: 0.90), pairs
/// of different photographs reach 0.876 (two pinned beetles of one kind), of different drawings 0.81.
pub(super) const SAME: f32 = 0.88;
/// Windows cut off at most this share of a side.
const MOST_CROP: f32 = 0.15;

/// Shares of the sides that a window cuts off: left, top, right, bottom.
type Window = [f32; 4];

/// The whole, 2.5 to 7.5 % off each side, and 5 or 10 % off one.
const WINDOWS: [Window; 12] = [
    [0.0; 4],
    [0.025; 4],
    [0.05; 4],
    [0.075; 4],
    [0.05, 0.0, 0.0, 0.0],
    [0.1, 0.0, 0.0, 0.0],
    [0.0, 0.05, 0.0, 0.0],
    [0.0, 0.1, 0.0, 0.0],
    [0.0, 0.0, 0.05, 0.0],
    [0.0, 0.0, 0.1, 0.0],
    [0.0, 0.0, 0.0, 0.05],
    [0.0, 0.0, 0.0, 0.1],
];

/// What pictures are compared by.
#[derive(Clone, Debug)]
pub(super) struct Fingerprint {
    /// `[SIDE,SIDE]`.
    brightness: Vec<u8>,
    /// One for each of [`WINDOWS`].
    hashes: [u128; WINDOWS.len()],
    /// Of the whole, mirrored.
    mirrored: u128,
}

/// The hashes of many whole pictures, halved and beside each other, so that one is compared with all of them many at once.
pub(super) struct Hashes {
    upright: Vec<[u64; 2]>,
    mirrored: Vec<[u64; 2]>,
}

impl Hashes {
    /// Of these pictures.
    pub fn new<'a>(fingerprints: impl Iterator<Item = &'a Fingerprint> + Clone) -> Hashes {
        let halves = |hash: u128| [hash as u64, (hash >> 64) as u64];
        Hashes {
            upright: fingerprints.clone().map(|f| halves(f.hashes[0])).collect(),
            mirrored: fingerprints.map(|f| halves(f.mirrored)).collect(),
        }
    }

    /// In how many bits each of them differs from the one at `index`, upright or mirrored.
    pub fn apart(&self, index: usize) -> Vec<u32> {
        let [a, b] = self.upright[index];
        let bits = |other: &[u64; 2]| (other[0] ^ a).count_ones() + (other[1] ^ b).count_ones();
        self.upright.iter().zip(&self.mirrored).map(|(u, m)| bits(u).min(bits(m))).collect()
    }
}

/// How two fingerprints come to be candidates.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub bits: u32,
    window: usize,
    mirrored: bool,
    /// Whether the window is into the second.
    into_second: bool,
}

impl Fingerprint {
    /// Of a picture's brightness, `[SIDE,SIDE]`.
    pub fn new(brightness: Vec<u8>) -> Fingerprint {
        let small = halve(&brightness);
        let mut hashes = [0; WINDOWS.len()];
        let mut mirrored = 0;
        for (index, window) in WINDOWS.iter().enumerate() {
            let spectrum = spectrum(&cut(&small, SMALL, window));
            hashes[index] = signs(&spectrum, false);
            if index == 0 {
                mirrored = signs(&spectrum, true);
            }
        }
        Fingerprint { brightness, hashes, mirrored }
    }

    /// Whether hashes of windows are alike.
    pub fn candidate(&self, other: &Fingerprint) -> Option<Candidate> {
        let mut best: Option<Candidate> = None;
        for (into_second, windows, against) in [(false, self, other), (true, other, self)] {
            for (window, hash) in windows.hashes.iter().enumerate() {
                for (mirrored, whole) in [(false, against.hashes[0]), (true, against.mirrored)] {
                    let bits = (hash ^ whole).count_ones();
                    if bits <= MOST_BITS && best.is_none_or(|b| bits < b.bits) {
                        best = Some(Candidate { bits, window, mirrored, into_second });
                    }
                }
            }
        }
        best
    }

    /// The correlation of the pictures' details, −1 to 1, where they agree best; 0 for candidates that fall behind early.
    pub fn similarity(&self, other: &Fingerprint, candidate: Candidate) -> f32 {
        let (windowed, whole) = if candidate.into_second { (other, self) } else { (self, other) };
        let mut whole = whole.brightness.clone();
        if candidate.mirrored {
            whole.chunks_exact_mut(SIDE).for_each(<[u8]>::reverse);
        }
        let mut window = WINDOWS[candidate.window];
        let small = [details(&halve(&windowed.brightness), SMALL), details(&halve(&whole), SMALL)];
        let start = correlation(&cut(&small[0], SMALL, &window), &small[1]);
        if start < LEAST[0] || fit(&small, SMALL, &mut window, start, &[0.02, 0.01]) < LEAST[1] {
            return 0.0;
        }
        let full = [
            windowed.brightness.iter().map(|v| f32::from(*v)).collect(),
            whole.iter().map(|v| f32::from(*v)).collect(),
        ]
        .map(|picture: Vec<f32>| details(&picture, SIDE));
        let start = correlation(&cut(&full[0], SIDE, &window), &full[1]);
        fit(&full, SIDE, &mut window, start, &[0.01, 0.005])
    }
}

/// `[SIDE,SIDE]` to `[SMALL,SMALL]`, means of four.
fn halve(brightness: &[u8]) -> Vec<f32> {
    let at = |row: usize, column: usize| f32::from(brightness[row * SIDE + column]);
    let four = |y: usize, x: usize| at(y, x) + at(y, x + 1) + at(y + 1, x) + at(y + 1, x + 1);
    (0..SMALL * SMALL).map(|i| four(i / SMALL * 2, i % SMALL * 2) / 4.0).collect()
}

/// Where the pixels of a side lie that a window stretches to the whole: lower pixel, share of the one after it.
fn taps(side: usize, before: f32, after: f32) -> impl Iterator<Item = (usize, f32)> {
    let scale = 1.0 - before - after;
    (0..side).map(move |i| {
        let place = before * side as f32 + (i as f32 + 0.5) * scale - 0.5;
        let place = place.clamp(0.0, (side - 1) as f32);
        let lower = (place as usize).min(side - 2);
        (lower, place - lower as f32)
    })
}

/// A window into a picture `[side,side]`, stretched to the whole, bilinear.
fn cut(picture: &[f32], side: usize, window: &Window) -> Vec<f32> {
    let columns: Vec<(usize, f32)> = taps(side, window[0], window[2]).collect();
    let mut out = Vec::with_capacity(side * side);
    for (row, down) in taps(side, window[1], window[3]) {
        let (upper, lower) = (&picture[row * side..][..side], &picture[(row + 1) * side..][..side]);
        for &(column, across) in &columns {
            let left = upper[column] + (lower[column] - upper[column]) * down;
            let right = upper[column + 1] + (lower[column + 1] - upper[column + 1]) * down;
            out.push(left + (right - left) * across);
        }
    }
    out
}

/// The lowest frequencies of the cosine transform (DCT-II) of `[SMALL,SMALL]`: `[FREQUENCIES,FREQUENCIES]`, not scaled.
fn spectrum(picture: &[f32]) -> Vec<f32> {
    let waves: &[[f32; SMALL]; FREQUENCIES] = waves();
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    let mut rows = [[0.0; SMALL]; FREQUENCIES];
    for (y, line) in picture.chunks_exact(SMALL).enumerate() {
        (0..FREQUENCIES).for_each(|u| rows[u][y] = dot(line, &waves[u]));
    }
    (0..FREQUENCIES * FREQUENCIES).map(|i| dot(&rows[i % FREQUENCIES], &waves[i / FREQUENCIES])).collect()
}

fn waves() -> &'static [[f32; SMALL]; FREQUENCIES] {
    static WAVES: std::sync::OnceLock<[[f32; SMALL]; FREQUENCIES]> = std::sync::OnceLock::new();
    WAVES.get_or_init(|| {
        let wave = |u: usize, x: usize| (std::f32::consts::PI * u as f32 * (x as f32 + 0.5) / SMALL as f32).cos();
        std::array::from_fn(|u| std::array::from_fn(|x| wave(u, x)))
    })
}

/// One bit for each frequency but the constant; mirroring a picture negates the odd ones along its rows.
fn signs(spectrum: &[f32], mirrored: bool) -> u128 {
    spectrum.iter().enumerate().skip(1).fold(0, |bits, (index, value)| {
        let negated = mirrored && index % FREQUENCIES % 2 == 1;
        bits << 1 | u128::from(if negated { -value } else { *value } > 0.0)
    })
}

/// A picture `[side,side]` less its mean over a neighbourhood of about a quarter of each side: what is left when the
/// light, which differs between copies and is alike on different pictures, is taken away.
fn details(picture: &[f32], side: usize) -> Vec<f32> {
    let radius = side / 8 - 1;
    let blur = |values: &[f32], out: &mut [f32], step: usize| {
        let at = |i: isize| values[i.clamp(0, side as isize - 1) as usize * step];
        let reach = radius as isize;
        let mut sum: f32 = (-reach..=reach).map(at).sum();
        for i in 0..side as isize {
            out[i as usize * step] = sum / (2 * radius + 1) as f32;
            sum += at(i + reach + 1) - at(i - reach);
        }
    };
    let (mut rows, mut both) = (vec![0.0; side * side], vec![0.0; side * side]);
    for (from, to) in picture.chunks_exact(side).zip(rows.chunks_exact_mut(side)) {
        blur(from, to, 1);
    }
    (0..side).for_each(|x| blur(&rows[x..], &mut both[x..], side));
    picture.iter().zip(&both).map(|(value, mean)| value - mean).collect()
}

/// Pearson's, of pictures whose pixels deviate by a grey level at least; nearly uniform ones count as unlike.
fn correlation(a: &[f32], b: &[f32]) -> f32 {
    let count = a.len() as f32;
    let mean = |v: &[f32]| v.iter().sum::<f32>() / count;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut product, mut square_a, mut square_b) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        let (a, b) = (a - mean_a, b - mean_b);
        product += a * b;
        square_a += a * a;
        square_b += b * b;
    }
    product / square_a.max(count).sqrt() / square_b.max(count).sqrt()
}

/// Moves the window's edges by ever smaller steps while the pictures agree better; gives the correlation in the end.
fn fit(pictures: &[Vec<f32>; 2], side: usize, window: &mut Window, start: f32, steps: &[f32]) -> f32 {
    let mut best = start;
    for step in steps {
        for _ in 0..3 {
            let before = best;
            for (edge, by) in (0..4).flat_map(|edge| [(edge, -step), (edge, *step)]) {
                let mut moved = *window;
                moved[edge] = (moved[edge] + by).clamp(0.0, MOST_CROP);
                if moved[edge] == window[edge] {
                    continue;
                }
                let found = correlation(&cut(&pictures[0], side, &moved), &pictures[1]);
                if found > best + 1e-4 {
                    (best, *window) = (found, moved);
                }
            }
            if best == before {
                break;
            }
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> Vec<u8> {
        let wave = |i: usize| {
            let (x, y) = ((i % SIDE) as f32 / SIDE as f32, (i / SIDE) as f32 / SIDE as f32);
            120.0
                + 40.0 * (9.0 * x + 3.0 * y).sin()
                + 50.0 * (x * x * 17.0 - 11.0 * y * x).cos()
                + 20.0 * (31.0 * y).sin()
        };
        (0..SIDE * SIDE).map(|i| wave(i) as u8).collect()
    }

    #[test]
    fn a_mirrored_picture_has_the_mirrored_hash() {
        let upright = Fingerprint::new(picture());
        let mut mirrored = picture();
        mirrored.chunks_exact_mut(SIDE).for_each(<[u8]>::reverse);
        let mirrored = Fingerprint::new(mirrored);
        assert_eq!((upright.mirrored, upright.hashes[0]), (mirrored.hashes[0], mirrored.mirrored));
        assert!((upright.hashes[0] ^ upright.mirrored).count_ones() > MOST_BITS);
        let candidate = upright.candidate(&mirrored).expect("they are alike");
        assert!(candidate.mirrored && candidate.bits == 0);
        assert!((upright.similarity(&mirrored, candidate) - 1.0).abs() < 1e-5);
    }

    #[test]
    fn light_does_not_matter_and_uniform_pictures_are_like_no_other() {
        let bright = Fingerprint::new(picture());
        let dim =
            Fingerprint::new(picture().into_iter().enumerate().map(|(i, v)| v / 2 + (i % SIDE) as u8 / 4).collect());
        let candidate = bright.candidate(&dim).expect("they are alike");
        assert!(bright.similarity(&dim, candidate) > 0.98);
        let plain = [100, 101].map(|v| Fingerprint::new(vec![v; SIDE * SIDE]));
        // The signs of nothing are those of rounding; were they equal by chance:
        let candidate = Candidate { bits: 0, window: 0, mirrored: false, into_second: false };
        assert_eq!(plain[0].similarity(&plain[1], candidate), 0.0);
    }
}
