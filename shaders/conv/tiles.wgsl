// The body for GPUs: a workgroup of 8x8 owns 16x16 pixels and 16 channels; x (or dz) and the weights of one quad pass
// through workgroup memory; each invocation keeps the 2x2 pixels of its pool window for all 16 channels in registers.

@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read> d_y: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read_write> d_x: array<vec4<f32>>;

fn x_at(i: u32) -> vec4<f32> {
    return x[i];
}
fn set_y(i: u32, value: vec4<f32>) {
    y[i] = value;
}
fn d_y_at(i: u32) -> vec4<f32> {
    return d_y[i];
}
fn set_d_x(i: u32, value: vec4<f32>) {
    d_x[i] = value;
}

const side = 18u;   // 16 pixels and the border of the convolution

var<workgroup> tile: array<vec4<f32>, 324>;
var<workgroup> filters: array<vec4<f32>, 144>;

// Grid: (width/16, height/16, images * out_quads/4), rounded up.
@compute @workgroup_size(8, 8)
fn forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let blocks = (conv.out_quads + 3u) / 4u;
    let image = group.z / blocks;
    let first = group.z % blocks * 4u;
    let pitch = conv.out_quads * 4u;
    var a = mat4x4<f32>();
    var b = mat4x4<f32>();
    var c = mat4x4<f32>();
    var d = mat4x4<f32>();
    for (var q = 0u; q < conv.in_quads; q++) {
        workgroupBarrier();
        for (var i = index; i < side * side; i += 64u) {
            let row = group.y * 16u + i / side;
            let column = group.x * 16u + i % side;
            if row < conv.height + 2u && column < conv.width + 2u {
                tile[i] = x_at(((image * conv.in_quads + q) * (conv.height + 2u) + row) * (conv.width + 2u) + column);
            } else {
                tile[i] = vec4(0.0);
            }
        }
        for (var i = index; i < 144u; i += 64u) {
            filters[i] = weights[(q * 9u + i / 16u) * pitch + min(first * 4u + i % 16u, pitch - 1u)];
        }
        workgroupBarrier();
        for (var tap = 0u; tap < 9u; tap++) {
            let at = (local.y * 2u + tap / 3u) * side + local.x * 2u + tap % 3u;
            let xa = tile[at];
            let xb = tile[at + 1u];
            let xc = tile[at + side];
            let xd = tile[at + side + 1u];
            let w = tap * 16u;
            let m0 = mat4x4(filters[w], filters[w + 1u], filters[w + 2u], filters[w + 3u]);
            a[0] += xa * m0; b[0] += xb * m0; c[0] += xc * m0; d[0] += xd * m0;
            let m1 = mat4x4(filters[w + 4u], filters[w + 5u], filters[w + 6u], filters[w + 7u]);
            a[1] += xa * m1; b[1] += xb * m1; c[1] += xc * m1; d[1] += xd * m1;
            let m2 = mat4x4(filters[w + 8u], filters[w + 9u], filters[w + 10u], filters[w + 11u]);
            a[2] += xa * m2; b[2] += xb * m2; c[2] += xc * m2; d[2] += xd * m2;
            let m3 = mat4x4(filters[w + 12u], filters[w + 13u], filters[w + 14u], filters[w + 15u]);
            a[3] += xa * m3; b[3] += xb * m3; c[3] += xc * m3; d[3] += xd * m3;
        }
    }
    let row = group.y * 8u + local.y;
    let column = group.x * 8u + local.x;
    if row >= conv.height / 2u || column >= conv.width / 2u {
        return;
    }
    for (var o = 0u; o < min(4u, conv.out_quads - first); o++) {
        pool(a[o], b[o], c[o], d[o], image, first + o, row, column);
    }
}

// The same walk over dz, a border of 1 around the 16x16 pixels, with the weights turned by 180 degrees.
// Grid: (width/16, height/16, rows * in_quads/4), rounded up.
@compute @workgroup_size(8, 8)
fn backward_data(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let blocks = (conv.in_quads + 3u) / 4u;
    let gradient = group.z / blocks;
    let first = group.z % blocks * 4u;
    let pitch = conv.out_quads * 4u;
    var a = mat4x4<f32>();
    var b = mat4x4<f32>();
    var c = mat4x4<f32>();
    var d = mat4x4<f32>();
    var source = planes(gradient);
    for (var q = 0u; q < conv.out_quads; q++) {
        workgroupBarrier();
        for (var i = index; i < 100u; i += 64u) {
            // 10x10 windows cover the 18x18 pixels: the outermost ones give one row or column each.
            let row = i / 10u;
            let column = i % 10u;
            let p = pooled(source, i32(group.y * 8u + row) - 1, i32(group.x * 8u + column) - 1);
            for (var place = 0u; place < 4u; place++) {
                let r = row * 2u + place / 2u - 1u;
                let s = column * 2u + place % 2u - 1u;
                if r < side && s < side {
                    tile[r * side + s] = unpool(p, place);
                }
            }
        }
        for (var i = index; i < 144u; i += 64u) {
            let quad = min(first + i / 36u, conv.in_quads - 1u);
            filters[i] = weights[(quad * 9u + i % 36u / 4u) * pitch + q * 4u + i % 4u];
        }
        workgroupBarrier();
        for (var tap = 0u; tap < 9u; tap++) {
            let at = (local.y * 2u + 2u - tap / 3u) * side + local.x * 2u + 2u - tap % 3u;
            let za = tile[at];
            let zb = tile[at + 1u];
            let zc = tile[at + side];
            let zd = tile[at + side + 1u];
            let w = tap * 4u;
            let m0 = mat4x4(filters[w], filters[w + 1u], filters[w + 2u], filters[w + 3u]);
            a[0] += m0 * za; b[0] += m0 * zb; c[0] += m0 * zc; d[0] += m0 * zd;
            let m1 = mat4x4(filters[w + 36u], filters[w + 37u], filters[w + 38u], filters[w + 39u]);
            a[1] += m1 * za; b[1] += m1 * zb; c[1] += m1 * zc; d[1] += m1 * zd;
            let m2 = mat4x4(filters[w + 72u], filters[w + 73u], filters[w + 74u], filters[w + 75u]);
            a[2] += m2 * za; b[2] += m2 * zb; c[2] += m2 * zc; d[2] += m2 * zd;
            let m3 = mat4x4(filters[w + 108u], filters[w + 109u], filters[w + 110u], filters[w + 111u]);
            a[3] += m3 * za; b[3] += m3 * zb; c[3] += m3 * zc; d[3] += m3 * zd;
        }
        source = next_plane(source);
    }
    let row = group.y * 16u + local.y * 2u;
    let column = group.x * 16u + local.x * 2u;
    for (var i = 0u; i < min(4u, conv.in_quads - first); i++) {
        let plane = gradient * conv.in_quads + first + i;
        store(a[i], plane, row, column);
        store(b[i], plane, row, column + 1u);
        store(c[i], plane, row + 1u, column);
        store(d[i], plane, row + 1u, column + 1u);
    }
}

fn store(value: vec4<f32>, plane: u32, row: u32, column: u32) {
    if row < conv.height && column < conv.width {
        set_d_x((plane * conv.height + row) * conv.width + column, value);
    }
}

// The 4x4 pixels of x around a pool window, row by row.
struct Field {
    a0: vec4<f32>, a1: vec4<f32>, a2: vec4<f32>, a3: vec4<f32>,
    b0: vec4<f32>, b1: vec4<f32>, b2: vec4<f32>, b3: vec4<f32>,
    c0: vec4<f32>, c1: vec4<f32>, c2: vec4<f32>, c3: vec4<f32>,
    d0: vec4<f32>, d1: vec4<f32>, d2: vec4<f32>, d3: vec4<f32>,
}

fn winner(f: Field, place: u32) -> Patch {
    let right = (place & 1u) != 0u;
    let down = (place & 2u) != 0u;
    let a0 = select(f.a0, f.a1, right); let a1 = select(f.a1, f.a2, right); let a2 = select(f.a2, f.a3, right);
    let b0 = select(f.b0, f.b1, right); let b1 = select(f.b1, f.b2, right); let b2 = select(f.b2, f.b3, right);
    let c0 = select(f.c0, f.c1, right); let c1 = select(f.c1, f.c2, right); let c2 = select(f.c2, f.c3, right);
    let d0 = select(f.d0, f.d1, right); let d1 = select(f.d1, f.d2, right); let d2 = select(f.d2, f.d3, right);
    return Patch(
        select(a0, b0, down), select(a1, b1, down), select(a2, b2, down),
        select(b0, c0, down), select(b1, c1, down), select(b2, c2, down),
        select(c0, d0, down), select(c1, d1, down), select(c2, d2, down),
    );
}

fn field(a: u32, pitch: u32) -> Field {
    let b = a + pitch;
    let c = b + pitch;
    let d = c + pitch;
    return Field(
        x_at(a), x_at(a + 1u), x_at(a + 2u), x_at(a + 3u), x_at(b), x_at(b + 1u), x_at(b + 2u), x_at(b + 3u),
        x_at(c), x_at(c + 1u), x_at(c + 2u), x_at(c + 3u), x_at(d), x_at(d + 1u), x_at(d + 2u), x_at(d + 3u),
    );
}

// An invocation sums one chunk of windows for one input and one output quad; neighbours share the x that they read.
// Grid: (in_quads, chunks/8, out_quads/8), rounded up.
@compute @workgroup_size(8, 8)
fn backward_weights(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
    let chunk = group.y * 8u + local.y;
    let out_quad = group.z * 8u + local.x;
    if chunk >= conv.chunks || out_quad >= conv.out_quads {
        return;
    }
    let pitch = conv.width + 2u;
    let end = min((chunk + 1u) * conv.chunk, conv.images * (conv.height / 2u) * (conv.width / 2u));
    var taps = Taps();
    var place = window_of(chunk * conv.chunk, group.x, out_quad);
    for (var window = chunk * conv.chunk; window < end; window += 2u) {
        let first = field(place.x, pitch);
        let gradient = window_gradient(place, true);
        // A chunk of an odd number ends with the same window again, which then counts for nothing.
        let counted = window + 1u < end;
        if counted {
            place = next_window(place);
        }
        let second = field(place.x, pitch);
        taps = add_windows(taps, first, gradient, second, window_gradient(place, counted));
        place = next_window(place);
    }
    store_taps(taps, chunk, group.x, out_quad);
}
