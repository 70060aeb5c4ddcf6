//! Gathers a batch from the images' bytes, flips and turns each picture, and rescales it for the network.

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

    /// The picture flipped or not, then turned about its centre ((W−1)/2, (H−1)/2) by `angle` radians, as Keras's
    /// `RandomRotation` does: x_in = cos·x − sin·y + cx − cx·cos + cy·sin, y_in = sin·x + cos·y + cy − cx·sin − cy·cos.
    pub fn turned(image: u32, mirror: bool, angle: f64, height: u32, width: u32) -> Sample {
        let (sin, cos) = angle.sin_cos();
        let (cx, cy) = (f64::from(width - 1) / 2.0, f64::from(height - 1) / 2.0);
        Sample {
            image,
            mirror: u32::from(mirror),
            xx: cos as f32,
            xy: -sin as f32,
            x0: (cx - cx * cos + cy * sin) as f32,
            yx: sin as f32,
            yy: cos as f32,
            y0: (cy - cx * sin - cy * cos) as f32,
        }
    }
}

impl Augment {
    /// Bytes of the batch, with its border.
    pub fn x_bytes(&self) -> u64 {
        u64::from(self.rows) * u64::from(self.height + 2) * u64::from(self.width + 2) * QUAD
    }

    /// x from the bytes of the images and the samples.
    ///
    /// # Errors
    /// [`GpuError::Shader`] if a buffer is too small for the shapes.
    pub fn gather(&self, gpu: &Gpu, pixels: &Buffer, samples: &Buffer, x: &Buffer) -> Result<Dispatch, GpuError> {
        let size = std::mem::size_of::<Sample>() as u64;
        check_sizes("augment", &[("samples", samples, u64::from(self.rows) * size), ("x", x, self.x_bytes())])?;
        let items = u64::from(self.rows) * u64::from(self.height) * u64::from(self.width);
        let buffers: [Bound; _] = [("pixels", pixels), ("samples", samples), ("x", x)];
        let dispatch = gpu.kernel(SOURCE, "gather")?.bind(gpu, ("augment", self), &buffers, linear_grid(items, 64))?;
        // A picture's bytes are read, its quads are written.
        Ok(dispatch.with_bytes(items * 4 + self.x_bytes()))
    }
}
