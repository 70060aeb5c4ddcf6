// Winograd's F(4x4, 3x3) (Lavin, Gray 2015) for software adapters with subgroups of 8: 36 multiplications for 16 pixels
// where the direct sum takes 144. Two steps: tiles of 6x6 pixels are transformed to v, once; then, position by position,
// products with the transformed weights u are summed over the channels and folded at once into the tile's 4x4 pixels.
//
//   v  [group of 32 tiles of the chunk][36 positions][quads][32 tiles]   quads of x forward, of the gradient backward
//   u  [block of 16 columns][36 positions][in_quads][16 columns]    forward: columns are output channels, vec4 over 4 inputs
//      [block of 16 columns][36 positions][out_quads][16 columns]   backward: columns are input channels, vec4 over 4
//                                                                   outputs, kernels turned around
//
// Both are storage textures, from which these adapters read in a quarter of the time that a buffer takes them. What a
// product reads one after the other lies one after the other.
//
// Workgroups run through the channels first, since threads take up workgroups in order: what a thread has just read or
// written is then still near it.
//
// Whoever joins this says where a pixel of the target goes: put_pixel(i, value).
//
// Tiles are numbered through the planes (images, or rows of the gradient) first .. first + count, row by row.

@group(0) @binding(11) var v: texture_storage_2d<rgba32float, write>;
@group(0) @binding(12) var transformed: texture_storage_2d<rgba32float, read>;   // v, as the products read it
@group(0) @binding(13) var u: texture_storage_2d<rgba32float, write>;
@group(0) @binding(14) var filters: texture_storage_2d<rgba32float, read>;       // u, as the products read it

// Row r of G times a column of three taps.
fn spread(r: u32, a: vec4<f32>, b: vec4<f32>, c: vec4<f32>) -> vec4<f32> {
    switch r {
        case 0u: { return a / 4.0; }
        case 1u: { return (a + b + c) / -6.0; }
        case 2u: { return (a - b + c) / -6.0; }
        case 3u: { return a / 24.0 + b / 12.0 + c / 6.0; }
        case 4u: { return a / 24.0 - b / 12.0 + c / 6.0; }
        default: { return c; }
    }
}

// The nine taps, transformed: u = G w G^T.
fn store_filter(
    t0: vec4<f32>, t1: vec4<f32>, t2: vec4<f32>, t3: vec4<f32>, t4: vec4<f32>,
    t5: vec4<f32>, t6: vec4<f32>, t7: vec4<f32>, t8: vec4<f32>, quads: u32, quad: u32, column: u32,
) {
    let at = (column / 16u * 36u * quads + quad) * 16u + column % 16u;
    for (var r = 0u; r < 6u; r++) {
        let a = spread(r, t0, t3, t6);
        let b = spread(r, t1, t4, t7);
        let c = spread(r, t2, t5, t8);
        for (var k = 0u; k < 6u; k++) {
            textureStore(u, texel(at + (r * 6u + k) * quads * 16u), spread(k, a, b, c));
        }
    }
}

// Grid: (out_quads*4/8, in_quads).
@compute @workgroup_size(8)
fn filters_forward(@builtin(global_invocation_id) id: vec3<u32>) {
    let outputs = conv.out_quads * 4u;
    if id.x >= outputs {
        return;
    }
    let at = id.y * 9u * outputs + id.x;
    store_filter(
        weights[at], weights[at + outputs], weights[at + 2u * outputs],
        weights[at + 3u * outputs], weights[at + 4u * outputs], weights[at + 5u * outputs],
        weights[at + 6u * outputs], weights[at + 7u * outputs], weights[at + 8u * outputs],
        conv.in_quads, id.y, id.x,
    );
}

// What four output channels, from this column on, have for one input channel.
fn across(at: u32, channel: u32) -> vec4<f32> {
    return vec4(weights[at][channel], weights[at + 1u][channel], weights[at + 2u][channel], weights[at + 3u][channel]);
}

// The kernels turned by 180 degrees, outputs and inputs exchanged. Grid: (in_quads*4/8, out_quads).
@compute @workgroup_size(8)
fn filters_backward(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= conv.in_quads * 4u {
        return;
    }
    let outputs = conv.out_quads * 4u;
    let at = id.x / 4u * 9u * outputs + id.y * 4u;
    let channel = id.x % 4u;
    store_filter(
        across(at + 8u * outputs, channel), across(at + 7u * outputs, channel), across(at + 6u * outputs, channel),
        across(at + 5u * outputs, channel), across(at + 4u * outputs, channel), across(at + 3u * outputs, channel),
        across(at + 2u * outputs, channel), across(at + outputs, channel), across(at, channel),
        conv.out_quads, id.y, id.x,
    );
}

struct TilePlace { plane: u32, row: u32, column: u32 }

fn tile_columns() -> u32 {
    return (conv.width + 3u) / 4u;
}
fn tiles_of_plane() -> u32 {
    return (conv.height + 3u) / 4u * tile_columns();
}
// The last tile stands in for those beyond it.
fn tile_place(tile: u32) -> TilePlace {
    let t = min(tile, conv.count * tiles_of_plane() - 1u);
    let within = t % tiles_of_plane();
    return TilePlace(conv.first + t / tiles_of_plane(), within / tile_columns(), within % tile_columns());
}

// B^T times a column of six.
fn transform(s: Six) -> Six {
    return Six(
        4.0 * s.a - 5.0 * s.c + s.e,
        s.d + s.e - 4.0 * (s.b + s.c),
        s.e - s.d + 4.0 * (s.b - s.c),
        s.e - s.c + 2.0 * (s.d - s.b),
        s.e - s.c - 2.0 * (s.d - s.b),
        4.0 * s.b - 5.0 * s.d + s.f,
    );
}

// Picked, as sums are: a store is half a KiB of code on these adapters, and a tile has 36.
fn one_of(s: Six, k: u32) -> vec4<f32> {
    return select(select(select(s.a, s.b, k == 1u), select(s.c, s.d, k == 3u), k >= 2u), select(s.e, s.f, k == 5u), k >= 4u);
}

fn store_row(s: Six, at: u32, step: u32) {
    textureStore(v, texel(at), s.a);
    textureStore(v, texel(at + step), s.b);
    textureStore(v, texel(at + 2u * step), s.c);
    textureStore(v, texel(at + 3u * step), s.d);
    textureStore(v, texel(at + 4u * step), s.e);
    textureStore(v, texel(at + 5u * step), s.f);
}

// From six transformed rows: v = B^T d B of one tile and quad.
fn store_tile(r0: Six, r1: Six, r2: Six, r3: Six, r4: Six, r5: Six, quads: u32, quad: u32, tile: u32) {
    let ca = transform(Six(r0.a, r1.a, r2.a, r3.a, r4.a, r5.a));
    let cb = transform(Six(r0.b, r1.b, r2.b, r3.b, r4.b, r5.b));
    let cc = transform(Six(r0.c, r1.c, r2.c, r3.c, r4.c, r5.c));
    let cd = transform(Six(r0.d, r1.d, r2.d, r3.d, r4.d, r5.d));
    let ce = transform(Six(r0.e, r1.e, r2.e, r3.e, r4.e, r5.e));
    let cf = transform(Six(r0.f, r1.f, r2.f, r3.f, r4.f, r5.f));
    store_columns(ca, cb, cc, cd, ce, cf, quads, quad, tile);
}

// The 36 positions of a tile. Those behind the last tile are written, too, up to a multiple of 8: they are read with it.
fn store_columns(ca: Six, cb: Six, cc: Six, cd: Six, ce: Six, cf: Six, quads: u32, quad: u32, tile: u32) {
    if tile >= (conv.count * tiles_of_plane() + 7u) / 8u * 8u {
        return;
    }
    let at = (tile / 32u * 36u * quads + quad) * 32u + tile % 32u;
    let step = quads * 32u;
    for (var r = 0u; r < min(6u, conv.width * 6u); r++) {
        let row = Six(one_of(ca, r), one_of(cb, r), one_of(cc, r), one_of(cd, r), one_of(ce, r), one_of(cf, r));
        store_row(row, at + r * 6u * step, step);
    }
}

// A matrix holds 16 channels of one pixel. Four pixels of a row, four rows of a tile.
struct Row { p0: mat4x4<f32>, p1: mat4x4<f32>, p2: mat4x4<f32>, p3: mat4x4<f32> }
struct Tile { r0: Row, r1: Row, r2: Row, r3: Row }

// Columns of A^T.
const inverse = array<vec4<f32>, 6>(
    vec4(1.0, 0.0, 0.0, 0.0), vec4(1.0, 1.0, 1.0, 1.0), vec4(1.0, -1.0, 1.0, -1.0),
    vec4(1.0, 2.0, 4.0, 8.0), vec4(1.0, -2.0, 4.0, -8.0), vec4(0.0, 0.0, 0.0, 1.0));

fn widen(z: Row, m: mat4x4<f32>, k: vec4<f32>) -> Row {
    return Row(z.p0 + k.x * m, z.p1 + k.y * m, z.p2 + k.z * m, z.p3 + k.w * m);
}
fn add(a: Row, k: f32, b: Row) -> Row {
    return Row(a.p0 + k * b.p0, a.p1 + k * b.p1, a.p2 + k * b.p2, a.p3 + k * b.p3);
}
fn deepen(t: Tile, z: Row, k: vec4<f32>) -> Tile {
    return Tile(add(t.r0, k.x, z), add(t.r1, k.y, z), add(t.r2, k.z, z), add(t.r3, k.w, z));
}

fn pick_row(r: Row, quad: u32) -> mat4x4<f32> {
    return mat4x4(pick(r.p0, quad), pick(r.p1, quad), pick(r.p2, quad), pick(r.p3, quad));
}
struct Four { a: Tile, b: Tile, c: Tile, d: Tile }

fn choose_row(a: Row, b: Row, second: bool) -> Row {
    return Row(choose(a.p0, b.p0, second), choose(a.p1, b.p1, second), choose(a.p2, b.p2, second), choose(a.p3, b.p3, second));
}
fn choose_tile(a: Tile, b: Tile, second: bool) -> Tile {
    return Tile(
        choose_row(a.r0, b.r0, second), choose_row(a.r1, b.r1, second),
        choose_row(a.r2, b.r2, second), choose_row(a.r3, b.r3, second),
    );
}
// How many of a group's four there are.
fn tiles_left(group: u32) -> u32 {
    return min(4u, (conv.count * tiles_of_plane() - group * 32u + 7u) / 8u);
}
fn pick_tile(f: Four, k: u32) -> Tile {
    return choose_tile(choose_tile(f.a, f.b, k == 1u), choose_tile(f.c, f.d, k == 3u), k >= 2u);
}

// The sums over all quads for four tiles of a group, 8 apart, of a block of 16 channels.
fn product(group: u32, lane: u32, block: u32, quads: u32) -> Four {
    var tiles = group * 36u * quads * 32u + lane;
    var weights = block * 36u * quads * 16u + lane;
    var folds = inverse;
    var t0 = Tile();
    var t1 = Tile();
    var t2 = Tile();
    var t3 = Tile();
    for (var r = 0u; r < 6u; r++) {
        var z0 = Row();
        var z1 = Row();
        var z2 = Row();
        var z3 = Row();
        for (var c = 0u; c < 6u; c++) {
            var m0 = mat4x4<f32>();
            var m1 = mat4x4<f32>();
            var m2 = mat4x4<f32>();
            var m3 = mat4x4<f32>();
            for (var q = 0u; q < quads; q++) {
                let v0 = textureLoad(transformed, texel(tiles));
                let v1 = textureLoad(transformed, texel(tiles + 8u));
                let v2 = textureLoad(transformed, texel(tiles + 16u));
                let v3 = textureLoad(transformed, texel(tiles + 24u));
                let w0 = textureLoad(filters, texel(weights));
                let w1 = textureLoad(filters, texel(weights + 8u));
                let a = four(w0);
                m0[0] += v0 * a; m1[0] += v1 * a; m2[0] += v2 * a; m3[0] += v3 * a;
                let b = next_four(w0);
                m0[1] += v0 * b; m1[1] += v1 * b; m2[1] += v2 * b; m3[1] += v3 * b;
                let d = four(w1);
                m0[2] += v0 * d; m1[2] += v1 * d; m2[2] += v2 * d; m3[2] += v3 * d;
                let e = next_four(w1);
                m0[3] += v0 * e; m1[3] += v1 * e; m2[3] += v2 * e; m3[3] += v3 * e;
                tiles += 32u;
                weights += 16u;
            }
            z0 = widen(z0, m0, folds[c]);
            z1 = widen(z1, m1, folds[c]);
            z2 = widen(z2, m2, folds[c]);
            z3 = widen(z3, m3, folds[c]);
        }
        t0 = deepen(t0, z0, folds[r]);
        t1 = deepen(t1, z1, folds[r]);
        t2 = deepen(t2, z2, folds[r]);
        t3 = deepen(t3, z3, folds[r]);
    }
    return Four(t0, t1, t2, t3);
}

fn store_pixel(value: vec4<f32>, line: u32, column: u32) {
    if column < conv.width {
        put_pixel(line * conv.width + column, value);
    }
}

// The pixels of a tile for up to four of a target's quads, from `first` on, each with its offset.
fn finish_pixels(t: Tile, tile: u32, first: u32, quads: u32, offsets: mat4x4<f32>) {
    if tile >= conv.count * tiles_of_plane() {
        return;
    }
    let p = tile_place(tile);
    let left = p.column * 4u;
    for (var i = 0u; i < min(4u, quads - first); i++) {
        let offset = pick(offsets, i);
        let r0 = pick_row(t.r0, i);
        let r1 = pick_row(t.r1, i);
        let r2 = pick_row(t.r2, i);
        let r3 = pick_row(t.r3, i);
        let plane = p.plane * quads + first + i;
        for (var row = 0u; row < min(4u, conv.height - p.row * 4u); row++) {
            let pixels = choose(choose(r0, r1, row == 1u), choose(r2, r3, row == 3u), row >= 2u);
            let line = plane * conv.height + p.row * 4u + row;
            store_pixel(pixels[0] + offset, line, left);
            store_pixel(pixels[1] + offset, line, left + 1u);
            store_pixel(pixels[2] + offset, line, left + 2u);
            store_pixel(pixels[3] + offset, line, left + 3u);
        }
    }
}
