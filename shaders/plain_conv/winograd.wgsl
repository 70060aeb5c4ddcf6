// Winograd's way for a convolution 3x3 of stride 1 that keeps the size of the picture. As everywhere in this family, the
// transpose binds d_y as x and d_x as y: its kernels are turned around, all else is the same.
//
// The gradients of the weights are sums of products in the same 36 positions (the transpose of y = A^T (u * v) A by u):
//   m         [group of 32 tiles of the chunk][36 positions][out_quads][32 tiles]   A d_y A^T, tiles of 4x4 pixels of d_y
//   products  [36 positions][in_quads][out_quads*4]   vec4 over 4 input channels: sums over the tiles of v times m

@group(0) @binding(15) var moved: texture_storage_2d<rgba32float, read>;   // m, as the products read it
@group(0) @binding(16) var<storage, read_write> products: array<vec4<f32>>;

fn put_pixel(i: u32, value: vec4<f32>) {
    set_y(i, value);
}

// A pixel of a picture, and zeros around it.
fn x_or_zero(plane: u32, row: u32, column: u32) -> vec4<f32> {
    let inside = row < conv.height && column < conv.width;
    return select(vec4(0.0), x_at(select(0u, (plane * conv.height + row) * conv.width + column, inside)), inside);
}

// Six pixels of a row, the first of them left of `column`.
fn x_row(plane: u32, row: u32, column: u32) -> Six {
    return Six(
        x_or_zero(plane, row, column - 1u), x_or_zero(plane, row, column), x_or_zero(plane, row, column + 1u),
        x_or_zero(plane, row, column + 2u), x_or_zero(plane, row, column + 3u), x_or_zero(plane, row, column + 4u),
    );
}

fn tile_of(group: vec3<u32>, groups: vec3<u32>, lane: u32, tiles: u32) -> u32 {
    return (group.y + group.z * groups.y) * tiles + lane;
}

fn transform_plane(quad: u32, quads: u32, tile: u32) {
    let p = tile_place(tile);
    let plane = p.plane * quads + quad;
    let row = p.row * 4u;
    let column = p.column * 4u;
    store_tile(
        transform(x_row(plane, row - 1u, column)), transform(x_row(plane, row, column)),
        transform(x_row(plane, row + 1u, column)), transform(x_row(plane, row + 2u, column)),
        transform(x_row(plane, row + 3u, column)), transform(x_row(plane, row + 4u, column)),
        quads, quad, tile,
    );
}

// Grid: (in_quads; tiles/8 over y and z).
@compute @workgroup_size(8)
fn transform_x(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    transform_plane(group.x, conv.in_quads, tile_of(group, groups, local.x, 8u));
}

// Grid: (out_quads; tiles/8 over y and z).
@compute @workgroup_size(8)
fn transform_gradient(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    transform_plane(group.x, conv.out_quads, tile_of(group, groups, local.x, 8u));
}

fn finish(sums: Four, tiles: u32, lane: u32, first: u32, quads: u32, offsets: mat4x4<f32>) {
    for (var k = 0u; k < tiles_left(tiles); k++) {
        finish_pixels(pick_tile(sums, k), tiles * 32u + 8u * k + lane, first, quads, offsets);
    }
}

// A lane owns four tiles of 16 output channels. Grid: (out_quads/4; tiles/32 over y and z), rounded up.
@compute @workgroup_size(8)
fn forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let tiles = tile_of(group, groups, 0u, 1u);
    let first = group.x * 4u;
    let last = conv.out_quads - 1u;
    let offsets = mat4x4(bias[first], bias[min(first + 1u, last)], bias[min(first + 2u, last)], bias[min(first + 3u, last)]);
    let lane = local.x & 7u;
    finish(product(tiles, lane, group.x, conv.in_quads), tiles, lane, first, conv.out_quads, offsets);
}

// A lane owns four tiles of 16 input channels. Grid: (in_quads/4; tiles/32 over y and z), rounded up.
@compute @workgroup_size(8)
fn backward_data(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let tiles = tile_of(group, groups, 0u, 1u);
    let lane = local.x & 7u;
    finish(product(tiles, lane, group.x, conv.out_quads), tiles, lane, group.x * 4u, conv.in_quads, mat4x4<f32>());
}

// A times a column of four.
fn move_out(a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>) -> Six {
    return Six(
        a, a + b + c + d, a - b + c - d, a + 2.0 * b + 4.0 * c + 8.0 * d, a - 2.0 * b + 4.0 * c - 8.0 * d, d,
    );
}

fn moved_row(plane: u32, row: u32, column: u32) -> Six {
    return move_out(
        x_or_zero(plane, row, column), x_or_zero(plane, row, column + 1u),
        x_or_zero(plane, row, column + 2u), x_or_zero(plane, row, column + 3u),
    );
}

// m, of d_y bound as x. Grid: (out_quads; tiles/8 over y and z).
@compute @workgroup_size(8)
fn move_gradient(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let tile = tile_of(group, groups, local.x, 8u);
    let p = tile_place(tile);
    let plane = p.plane * conv.out_quads + group.x;
    // Tiles behind the last count for nothing: all their rows lie below the picture.
    let row = select(conv.height, p.row * 4u, tile < conv.count * tiles_of_plane());
    let r0 = moved_row(plane, row, p.column * 4u);
    let r1 = moved_row(plane, row + 1u, p.column * 4u);
    let r2 = moved_row(plane, row + 2u, p.column * 4u);
    let r3 = moved_row(plane, row + 3u, p.column * 4u);
    store_columns(
        move_out(r0.a, r1.a, r2.a, r3.a), move_out(r0.b, r1.b, r2.b, r3.b), move_out(r0.c, r1.c, r2.c, r3.c),
        move_out(r0.d, r1.d, r2.d, r3.d), move_out(r0.e, r1.e, r2.e, r3.e), move_out(r0.f, r1.f, r2.f, r3.f),
        conv.out_quads, group.x, tile,
    );
}

fn v_at(i: u32) -> vec4<f32> {
    return textureLoad(transformed, texel(i));
}
fn m_at(i: u32) -> vec4<f32> {
    return textureLoad(moved, texel(i));
}

// A lane owns an input quad, for eight output quads at a position; eight tiles at a time. What earlier chunks of planes
// left is added to. Position (1, 1) of m is the sum of a tile: the gradient of the bias.
// Grid: (36 positions; in_quads/8; out_quads/8), rounded up.
@compute @workgroup_size(8)
fn multiply_gradient(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
    let lane = local.x & 7u;
    let quad = group.y * 8u + lane;
    let own = min(quad, conv.in_quads - 1u);
    let first = group.z * 8u;
    let last = conv.out_quads - 1u;
    let tiles = conv.count * tiles_of_plane();
    // Quads beyond the last are the last again.
    let o1 = min(1u, last - first) * 32u;
    let o2 = min(2u, last - first) * 32u;
    let o3 = min(3u, last - first) * 32u;
    let o4 = min(4u, last - first) * 32u;
    let o5 = min(5u, last - first) * 32u;
    let o6 = min(6u, last - first) * 32u;
    let o7 = min(7u, last - first) * 32u;
    var s = Sums();
    var t = Eight();
    for (var tile = 0u; tile < tiles; tile += 8u) {
        let v = ((tile / 32u * 36u + group.x) * conv.in_quads + own) * 32u + tile % 32u;
        let m = ((tile / 32u * 36u + group.x) * conv.out_quads + first) * 32u + tile % 32u + lane;
        let x = mat4x4(v_at(v), v_at(v + 1u), v_at(v + 2u), v_at(v + 3u));
        let next = mat4x4(v_at(v + 4u), v_at(v + 5u), v_at(v + 6u), v_at(v + 7u));
        let m0 = m_at(m);
        s.a += outer(x, next, m0);
        t.a += m0;
        let m1 = m_at(m + o1);
        s.b += outer(x, next, m1);
        t.b += m1;
        let m2 = m_at(m + o2);
        s.c += outer(x, next, m2);
        t.c += m2;
        let m3 = m_at(m + o3);
        s.d += outer(x, next, m3);
        t.d += m3;
        let m4 = m_at(m + o4);
        s.e += outer(x, next, m4);
        t.e += m4;
        let m5 = m_at(m + o5);
        s.f += outer(x, next, m5);
        t.f += m5;
        let m6 = m_at(m + o6);
        s.g += outer(x, next, m6);
        t.g += m6;
        let m7 = m_at(m + o7);
        s.h += outer(x, next, m7);
        t.h += m7;
    }
    if quad < conv.in_quads {
        for (var k = 0u; k < min(8u, conv.out_quads - first); k++) {
            let g = pick_sum(s, k);
            let into = ((group.x * conv.in_quads + quad) * conv.out_quads + first + k) * 4u;
            for (var c = 0u; c < 4u; c++) {
                products[into + c] = select(products[into + c], vec4(0.0), conv.first == 0u) + pick(g, c);
            }
        }
    }
    if group.x == 7u && group.y == 0u {
        // A lane stores the sum of one quad.
        let low = mat4x4(over_lanes(t.a), over_lanes(t.b), over_lanes(t.c), over_lanes(t.d));
        let high = mat4x4(over_lanes(t.e), over_lanes(t.f), over_lanes(t.g), over_lanes(t.h));
        if first + lane <= last {
            let sum = select(pick(low, lane & 3u), pick(high, lane & 3u), lane >= 4u);
            d_bias[first + lane] = select(d_bias[first + lane], vec4(0.0), conv.first == 0u) + sum;
        }
    }
}

// Six rows of three columns of products become taps: G^T times a column of six.
fn gather_taps(s: Six) -> mat3x4<f32> {
    return mat3x4(
        s.a / 4.0 - (s.b + s.c) / 6.0 + (s.d + s.e) / 24.0,
        (s.c - s.b) / 6.0 + (s.d - s.e) / 12.0,
        s.f - (s.b + s.c) / 6.0 + (s.d + s.e) / 6.0,
    );
}

// d_weights = G^T products G. Grid: (out_quads*4/8, in_quads), rounded up.
@compute @workgroup_size(8)
fn finish_weights(@builtin(global_invocation_id) id: vec3<u32>) {
    let outputs = conv.out_quads * 4u;
    if id.x >= outputs {
        return;
    }
    let step = conv.in_quads * outputs;
    var rows = array<mat3x4<f32>, 6>();
    for (var r = 0u; r < 6u; r++) {
        let at = r * 6u * step + id.y * outputs + id.x;
        rows[r] = gather_taps(Six(
            products[at], products[at + step], products[at + 2u * step],
            products[at + 3u * step], products[at + 4u * step], products[at + 5u * step],
        ));
    }
    for (var c = 0u; c < 3u; c++) {
        let taps = gather_taps(Six(rows[0][c], rows[1][c], rows[2][c], rows[3][c], rows[4][c], rows[5][c]));
        let at = (id.y * 9u + c) * outputs + id.x;
        d_weights[at] = taps[0];
        d_weights[at + 3u * outputs] = taps[1];
        d_weights[at + 6u * outputs] = taps[2];
    }
}
