//! Copies into the memory of the convolutions and back.

use glowworm::gpu::{Body, Quads};
use glowworm::kernels::copy::Copy;

use crate::harness::*;

#[test]
fn what_goes_in_comes_out() {
    let mut random = Random::new(1);
    for gpu in bodies().into_iter().filter(|gpu| gpu.body() == Body::Lanes) {
        // Less than a row of a texture, a whole one, and more than a grid's axis of workgroups.
        for quads in [1, 4096, 4097, 65_535 * 64 + 5] {
            let data: Vec<f32> = random.floats(quads.min(10_000) * 4).into_iter().map(|v| v as f32).collect();
            let data: Vec<f32> = data.iter().copied().cycle().take(quads * 4).collect();
            let copy = Copy::of(quads as u64 * 16);
            let (from, through, into) = (input(&gpu, &data), quads_output(&gpu, quads * 4), output(&gpu, quads * 4));
            let Quads::Texture(texture) = &through else { panic!("this body keeps quads in textures") };
            run(&gpu, copy.pack(&gpu, &from, texture));
            assert!(read_quads(&gpu, &through, quads * 4) == data, "{quads} quads packed");
            run(&gpu, copy.unpack(&gpu, texture, &into));
            assert!(read(&gpu, &into, quads * 4) == data, "{quads} quads unpacked");
        }
    }
}
