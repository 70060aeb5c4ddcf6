//! What the convolutions by Winograd's F(4×4, 3×3) (Lavin, Gray 2015) have in common: the sizes of their scratch, and the
//! chunks of planes in which they work.

use super::QUAD;
use crate::gpu::linear_grid;

/// The texts that they join: vectors of lanes, and the transforms and products.
pub(super) const TEXTS: [&str; 2] =
    [include_str!("../../shaders/lanes/vectors.wgsl"), include_str!("../../shaders/lanes/winograd.wgsl")];

/// Transformed tiles of as many planes as fit this are worked on at a time: they stay in a CPU's caches, and a batch of
/// large pictures does not ask for a binding beyond the adapter's limit.
const CHUNK_BYTES: u64 = 4 << 20;

/// The tiles of 4×4 pixels of a layer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tiling {
    /// Quads of the input and of the output.
    pub quads: [u32; 2],
    /// Tiles of a plane.
    pub tiles: u32,
    /// Planes at most: images, or rows of a gradient.
    pub planes: u32,
}

/// Planes that are worked on at a time, with the grids of a transform and of a product of all their tiles.
pub(super) struct Chunk {
    pub first: u32,
    pub count: u32,
    pub transform: [u32; 2],
    pub product: [u32; 2],
}

impl Tiling {
    /// Of planes of `height` × `width`.
    pub fn new(quads: [u32; 2], [height, width]: [u32; 2], planes: u32) -> Tiling {
        Tiling { quads, tiles: height.div_ceil(4) * width.div_ceil(4), planes }
    }

    fn chunk_of(&self, quads: u32) -> u32 {
        (CHUNK_BYTES / self.bytes(1, quads).max(1)).clamp(1, u64::from(self.planes)) as u32
    }

    /// Bytes of the transformed tiles of so many planes.
    pub fn bytes(&self, planes: u32, quads: u32) -> u64 {
        36 * u64::from(quads) * u64::from(planes) * u64::from(self.tiles) * QUAD
    }

    /// Bytes of the transformed tiles of a chunk, of either side: groups of 32.
    pub fn tiles_bytes(&self) -> u64 {
        let of = |quads: u32| {
            let tiles = u64::from(self.chunk_of(quads)) * u64::from(self.tiles);
            36 * u64::from(quads) * tiles.next_multiple_of(32) * QUAD
        };
        of(self.quads[0]).max(of(self.quads[1]))
    }

    /// Bytes of the transformed weights, in either direction: blocks of 16 channels.
    pub fn filters_bytes(&self) -> u64 {
        let of = |from: u32, into: u32| 36 * u64::from(from) * u64::from((into * 4).next_multiple_of(16)) * QUAD;
        of(self.quads[0], self.quads[1]).max(of(self.quads[1], self.quads[0]))
    }

    /// Chunks of `planes`, of which tiles of this many quads are transformed.
    pub fn chunks(&self, planes: u32, quads: u32) -> impl Iterator<Item = Chunk> {
        let (each, tiles) = (self.chunk_of(quads), u64::from(self.tiles));
        (0..planes).step_by(each as usize).map(move |first| {
            let count = each.min(planes - first);
            let grid = |own: u32| {
                let [x, y, _] = linear_grid(u64::from(count) * tiles, own);
                [x, y]
            };
            Chunk { first, count, transform: grid(8), product: grid(32) }
        })
    }
}
