// Winograd's way for the fused convolution: its tiles, and what follows its products.

// Six pixels of a row of x; beyond the picture the zero border stands in.
fn x_row(plane: u32, row: u32, column: u32) -> Six {
    let pitch = conv.width + 2u;
    let last = pitch - 1u - column;
    let at = (plane * (conv.height + 2u) + min(row, conv.height + 1u)) * pitch + column;
    return Six(x_at(at), x_at(at + 1u), x_at(at + min(2u, last)), x_at(at + min(3u, last)), x_at(at + min(4u, last)), x_at(at + min(5u, last)));
}

// Grid: (in_quads; tiles/8 over y and z).
@compute @workgroup_size(8)
fn transform_x(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let tile = (group.y + group.z * groups.y) * 8u + local.x;
    let p = tile_place(tile);
    let plane = p.plane * conv.in_quads + group.x;
    let row = p.row * 4u;
    let column = p.column * 4u;
    store_tile(
        transform(x_row(plane, row, column)), transform(x_row(plane, row + 1u, column)),
        transform(x_row(plane, row + 2u, column)), transform(x_row(plane, row + 3u, column)),
        transform(x_row(plane, row + 4u, column)), transform(x_row(plane, row + 5u, column)),
        conv.in_quads, group.x, tile,
    );
}

// Grid: (out_quads; tiles/8 over y and z).
@compute @workgroup_size(8)
fn transform_gradient(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let tile = (group.y + group.z * groups.y) * 8u + local.x;
    let p = tile_place(tile);
    let size = conv.height / 2u * (conv.width / 2u);
    let start = planes(p.plane);
    let at = Planes(start.d_y + group.x * size, start.won + group.x * size);
    let z = six_rows(at, i32(p.row) * 2, i32(p.column) * 2);
    store_tile(
        transform(z.r0), transform(z.r1), transform(z.r2), transform(z.r3), transform(z.r4), transform(z.r5),
        conv.out_quads, group.x, tile,
    );
}

fn finish_forward(t: Tile, tile: u32, first: u32) {
    if tile >= conv.count * tiles_of_plane() {
        return;
    }
    let p = tile_place(tile);
    let column = p.column * 2u;
    for (var o = 0u; o < min(4u, conv.out_quads - first); o++) {
        let r0 = pick_row(t.r0, o);
        let r1 = pick_row(t.r1, o);
        let r2 = pick_row(t.r2, o);
        let r3 = pick_row(t.r3, o);
        for (var row = p.row * 2u; row < min(p.row * 2u + 2u, conv.height / 2u); row++) {
            let upper = choose(r0, r2, row != p.row * 2u);
            let lower = choose(r1, r3, row != p.row * 2u);
            if column < conv.width / 2u {
                pool(upper[0], upper[1], lower[0], lower[1], p.plane, first + o, row, column);
            }
            if column + 1u < conv.width / 2u {
                pool(upper[2], upper[3], lower[2], lower[3], p.plane, first + o, row, column + 1u);
            }
        }
    }
}

// A lane owns four tiles of 16 output channels. Grid: (out_quads/4; tiles/32 over y and z), rounded up.
@compute @workgroup_size(8)
fn forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let lane = local.x & 7u;
    let tiles = group.y + group.z * groups.y;
    let tile = tiles * 32u + lane;
    let sums = product(tiles, lane, group.x, conv.in_quads);
    for (var k = 0u; k < tiles_left(tiles); k++) {
        finish_forward(pick_tile(sums, k), tile + 8u * k, group.x * 4u);
    }
}

fn put_pixel(i: u32, value: vec4<f32>) {
    set_d_x(i, value);
}

// A lane owns four tiles of 16 input channels. Grid: (in_quads/4; tiles/32 over y and z), rounded up.
@compute @workgroup_size(8)
fn backward_data(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let lane = local.x & 7u;
    let tiles = group.y + group.z * groups.y;
    let tile = tiles * 32u + lane;
    let sums = product(tiles, lane, group.x, conv.out_quads);
    for (var k = 0u; k < tiles_left(tiles); k++) {
        finish_pixels(pick_tile(sums, k), tile + 8u * k, group.x * 4u, conv.in_quads, mat4x4<f32>());
    }
}
