//! Gathers a batch from the images' bytes, moves each picture about, and rescales it for the network; with other colours,
//! erased parts and two pictures mixed where that is asked for.

use super::{QUAD, check_sizes};
use crate::gpu::{Bound, Buffer, Dispatch, Gpu, GpuError, Source, linear_grid, uniform_struct};

const SOURCE: Source = Source { name: "augment.wgsl", parts: &[include_str!("../../shaders/augment.wgsl")] };

uniform_struct! {
    /// The shapes.
    Augment {
        /// Pictures in the batch.
        rows: u32,
        /// Their height.
        height: u32,
        /// Their width.
        width: u32,
        /// Width of the zero border around each in the batch: 0 or 1.
        border: u32,
    }
}

uniform_struct! {
    /// What becomes of one picture: its number, and the map from a pixel of the output to a place in the input.
    Sample {
        /// Its place in the bytes.
        image: u32,
        /// 1 to flip it horizontally, before it is turned.
        mirror: u32,
        /// Column of the input for a column of the output.
        xx: f32,
        /// Column of the input for a row of the output.
        xy: f32,
        /// Column of the input for the origin.
        x0: f32,
        /// Row of the input for a column of the output.
        yx: f32,
        /// Row of the input for a row of the output.
        yy: f32,
        /// Row of the input for the origin.
        y0: f32,
    }
}

impl Sample {
    /// The picture as it is.
    pub fn plain(image: u32) -> Sample {
        Sample { image, xx: 1.0, yy: 1.0, ..Sample::default() }
    }

    /// The picture flipped or not, then turned about its centre by `angle` radians, as Keras's `RandomRotation` does.
    pub fn turned(image: u32, mirror: bool, angle: f64, height: u32, width: u32) -> Sample {
        Map::turn(angle, height, width).sample(image, mirror)
    }
}

/// An affine map from places in the output to places in the picture, in pixels: whole numbers are the pixels' centres.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Map {
    /// From (column, row, 1) to the column.
    column: [f64; 3],
    /// From (column, row, 1) to the row.
    row: [f64; 3],
}

impl Default for Map {
    /// Every place to itself.
    fn default() -> Map {
        Map { column: [1.0, 0.0, 0.0], row: [0.0, 1.0, 0.0] }
    }
}

impl Map {
    /// A turn about the centre ((W−1)/2, (H−1)/2) by `angle` radians: x_in = cos·x − sin·y + cx − cx·cos + cy·sin,
    /// y_in = sin·x + cos·y + cy − cx·sin − cy·cos.
    pub fn turn(angle: f64, height: u32, width: u32) -> Map {
        let (sin, cos) = angle.sin_cos();
        let (cx, cy) = (f64::from(width - 1) / 2.0, f64::from(height - 1) / 2.0);
        Map { column: [cos, -sin, cx - cx * cos + cy * sin], row: [sin, cos, cy - cx * sin - cy * cos] }
    }

    /// A shift.
    pub fn shift(columns: f64, rows: f64) -> Map {
        Map { column: [1.0, 0.0, columns], row: [0.0, 1.0, rows] }
    }

    /// From the whole output to a part of the picture with the upper left corner (`left`, `top`) in pixels, that has the
    /// shares `width` and `height` of its sides.
    pub fn part(left: f64, top: f64, width: f64, height: f64) -> Map {
        // A pixel's centre lies half a pixel from its corner.
        Map { column: [width, 0.0, left + 0.5 * width - 0.5], row: [0.0, height, top + 0.5 * height - 0.5] }
    }

    /// The last row to the first.
    pub fn upside_down(height: u32) -> Map {
        Map { row: [0.0, -1.0, f64::from(height - 1)], ..Map::default() }
    }

    /// This map, and `next` of where it leads.
    pub fn then(self, next: Map) -> Map {
        let line = |next: [f64; 3]| {
            let sum = |i: usize| next[0] * self.column[i] + next[1] * self.row[i];
            [sum(0), sum(1), sum(2) + next[2]]
        };
        Map { column: line(next.column), row: line(next.row) }
    }

    /// The picture `image`, flipped horizontally or not and seen through this map.
    pub fn sample(self, image: u32, mirror: bool) -> Sample {
        let Map { column, row } = self;
        let [[xx, xy, x0], [yx, yy, y0]] = [column, row].map(|line| line.map(|v| v as f32));
        Sample { image, mirror: u32::from(mirror), xx, xy, x0, yx, yy, y0 }
    }
}

uniform_struct! {
    /// Pixels of the output from `left` and `top` on, up to but without `right` and `bottom`; none by default.
    Rectangle {
        /// First column.
        left: u32,
        /// First row.
        top: u32,
        /// The column behind the last.
        right: u32,
        /// The row behind the last.
        bottom: u32,
    }
}

uniform_struct! {
    /// A picture as it is to be seen: moved about, then with other colours, then with a part erased.
    Look {
        /// Which picture, and where it lies.
        sample: Sample,
        /// The new red, green and blue, between 0 and 1, of the old: `[3, 4]`, a row the shares of red, green and blue and
        /// what is added. The result is clamped to 0..1.
        color: [f32; 12],
        /// The part that is filled with noise, uniform in 0..1 and independent in every pixel and channel: the filling that
        /// did best in Zhong et al., "Random Erasing Data Augmentation", AAAI 2020.
        erased: Rectangle,
        /// The seed of the noise.
        noise: u32,
    }
}

uniform_struct! {
    /// A row of a batch made of two pictures.
    Varied {
        /// One.
        first: Look,
        /// The other; it is not read where it has no weight.
        second: Look,
        /// Weight of the second where both are seen (Zhang et al., "mixup", ICLR 2018).
        weight: f32,
        /// Where the second is seen alone (Yun et al., "CutMix", ICCV 2019).
        pasted: Rectangle,
    }
}

/// What a row of a batch is made of.
pub trait Row: bytemuck::Pod {}

impl Row for Sample {}

impl Row for Varied {}

impl Look {
    /// The picture in its own colours, and whole.
    pub fn plain(sample: Sample) -> Look {
        let color = [1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0];
        Look { sample, color, ..Look::default() }
    }
}

impl Varied {
    /// One picture alone.
    pub fn alone(look: Look) -> Varied {
        Varied { first: look, second: look, ..Varied::default() }
    }
}

impl Augment {
    /// Bytes of the batch, with its border.
    pub fn x_bytes(&self) -> u64 {
        let side = |pixels: u32| u64::from(pixels + 2 * self.border);
        u64::from(self.rows) * side(self.height) * side(self.width) * QUAD
    }

    /// x from the bytes of the images and the samples, a [`Sample`] a row.
    ///
    /// # Errors
    /// [`GpuError::Shader`] if a buffer is too small for the shapes.
    pub fn gather(&self, gpu: &Gpu, pixels: &Buffer, samples: &Buffer, x: &Buffer) -> Result<Dispatch, GpuError> {
        self.bind::<Sample>(gpu, "gather", pixels, "samples", samples, x)
    }

    /// x from the bytes of the images and a [`Varied`] a row. Two pictures take twice the time of one.
    ///
    /// # Errors
    /// [`GpuError::Shader`] if a buffer is too small for the shapes.
    pub fn gather_varied(&self, gpu: &Gpu, pixels: &Buffer, varied: &Buffer, x: &Buffer) -> Result<Dispatch, GpuError> {
        self.bind::<Varied>(gpu, "gather_varied", pixels, "varied", varied, x)
    }

    fn bind<Row>(
        &self,
        gpu: &Gpu,
        entry: &'static str,
        pixels: &Buffer,
        name: &str,
        rows: &Buffer,
        x: &Buffer,
    ) -> Result<Dispatch, GpuError> {
        let size = std::mem::size_of::<Row>() as u64;
        check_sizes("augment", &[(name, rows, u64::from(self.rows) * size), ("x", x, self.x_bytes())])?;
        let items = u64::from(self.rows) * u64::from(self.height) * u64::from(self.width);
        let buffers: [Bound; _] = [("pixels", pixels), (name, rows), ("x", x)];
        let dispatch = gpu.kernel(SOURCE, entry)?.bind(gpu, ("augment", self), &buffers, linear_grid(items, 64))?;
        // A picture's bytes are read, its quads are written.
        Ok(dispatch.with_bytes(items * 4 + self.x_bytes()))
    }
}
