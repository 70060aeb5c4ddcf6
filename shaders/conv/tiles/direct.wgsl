// A workgroup owns 16x16 pixels, and 8 quads of channels forward, 4 of them backward, where more workgroups pay: each
// invocation the 2x2 pixels of one pool window, for two quads, or for the only one. x (or dz) and the weights of one quad of
// the sum at a time pass through workgroup memory. No sum is indexed by a variable: it would not stay in registers.

const side = 18u;       // 16 pixels and the border of the convolution
const forward_quads = 8u;

var<workgroup> tile: array<vec4<f32>, 324>;      // [18 rows][9 even columns, 9 odd ones]: neighbouring windows read neighbours
var<workgroup> filters: array<mat4x4<f32>, 72>;  // [9 taps][quads], a column for each of the four terms of the sum

fn slot(row: u32, column: u32) -> u32 {
    return row * side + column % 2u * (side / 2u) + column / 2u;
}

// The four pixels of a pool window, for four channels.
struct Window { a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32> }

fn add_product(sum: vec4<f32>, m: mat4x4<f32>, x: vec4<f32>) -> vec4<f32> {
    return sum + m[0] * x.x + m[1] * x.y + m[2] * x.z + m[3] * x.w;
}

fn add_tap(w: Window, m: mat4x4<f32>, a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>) -> Window {
    return Window(add_product(w.a, m, a), add_product(w.b, m, b), add_product(w.c, m, c), add_product(w.d, m, d));
}

struct Sums { low: Window, high: Window }

// Adds the 9 taps of what lies in workgroup memory.
fn add_taps(sums: Sums, local: vec3<u32>, quads: u32) -> Sums {
    var s = sums;
    for (var row = 0u; row < 3u; row++) {
        for (var column = 0u; column < 3u; column++) {
            let at = slot(local.y * 2u + row, column) + local.x;
            let beside = slot(local.y * 2u + row, column + 1u) + local.x;
            let m = (row * 3u + column) * quads + local.z * 2u;
            s.low = add_tap(s.low, filters[m], tile[at], tile[beside], tile[at + side], tile[beside + side]);
            if quads > 1u {
                s.high = add_tap(s.high, filters[m + 1u], tile[at], tile[beside], tile[at + side], tile[beside + side]);
            }
        }
    }
    return s;
}

fn weights_of(at: u32) -> mat4x4<f32> {
    return mat4x4(weights[at], weights[at + 1u], weights[at + 2u], weights[at + 3u]);
}

// Grid: (width/16, height/16, images * out_quads/8), rounded up.
@compute @workgroup_size(8, 8, 4)
fn forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let groups = (conv.out_quads + forward_quads - 1u) / forward_quads;
    let image = group.z / groups;
    let first = group.z % groups * forward_quads;
    var sums = Sums();
    for (var q = 0u; q < conv.in_quads; q++) {
        workgroupBarrier();
        for (var i = index; i < side * side; i += 256u) {
            let row = group.y * 16u + i / side;
            let column = group.x * 16u + i % side;
            var value = vec4(0.0);
            if row < conv.height + 2u && column < conv.width + 2u {
                value = x_at(((image * conv.in_quads + q) * (conv.height + 2u) + row) * (conv.width + 2u) + column);
            }
            tile[slot(i / side, i % side)] = value;
        }
        if index < 9u * forward_quads {
            let quad = min(first + index % forward_quads, conv.out_quads - 1u);
            filters[index] = transpose(weights_of(((q * 9u + index / forward_quads) * conv.out_quads + quad) * 4u));
        }
        workgroupBarrier();
        sums = add_taps(sums, local, forward_quads);
    }
    let row = group.y * 8u + local.y;
    let column = group.x * 8u + local.x;
    let quad = first + local.z * 2u;
    if row < conv.height / 2u && column < conv.width / 2u {
        pool_window(sums.low, image, quad, row, column);
        pool_window(sums.high, image, quad + 1u, row, column);
    }
}

fn pool_window(w: Window, image: u32, quad: u32, row: u32, column: u32) {
    if quad < conv.out_quads {
        pool(w.a, w.b, w.c, w.d, image, quad, row, column);
    }
}

// The same walk over dz, a border of 1 around the 16x16 pixels, with the weights turned by 180 degrees, for so many quads of
// d_x; one of them if there is one only.
fn transposed(group: vec3<u32>, local: vec3<u32>, index: u32, quads: u32) {
    let groups = (conv.in_quads + quads - 1u) / quads;
    let gradient = group.z / groups;
    let first = group.z % groups * quads;
    var sums = Sums();
    var source = planes(gradient);
    for (var q = 0u; q < conv.out_quads; q++) {
        workgroupBarrier();
        // 10x10 windows cover the 18x18 pixels: the outermost ones give one row or column each.
        load_window(source, group, index);
        if quads == 1u {
            load_window(source, group, index + 64u);
        }
        if index < 9u * quads {
            let quad = min(first + index % quads, conv.in_quads - 1u);
            filters[index] = weights_of(((quad * 9u + 8u - index / quads) * conv.out_quads + q) * 4u);
        }
        source = next_plane(source);
        workgroupBarrier();
        sums = add_taps(sums, local, quads);
    }
    let row = group.y * 16u + local.y * 2u;
    let column = group.x * 16u + local.x * 2u;
    store_window(sums.low, gradient, first + local.z * 2u, row, column);
    if quads > 1u {
        store_window(sums.high, gradient, first + local.z * 2u + 1u, row, column);
    }
}

// dz of one of the windows.
fn load_window(source: Planes, group: vec3<u32>, i: u32) {
    if i >= 100u {
        return;
    }
    let row = i / 10u;
    let column = i % 10u;
    let p = pooled(source, i32(group.y * 8u + row) - 1, i32(group.x * 8u + column) - 1);
    for (var place = 0u; place < 4u; place++) {
        let r = row * 2u + place / 2u - 1u;
        let s = column * 2u + place % 2u - 1u;
        if r < side && s < side {
            tile[slot(r, s)] = unpool(p, place);
        }
    }
}

// Grid: (width/16, height/16, rows * in_quads/4), rounded up.
@compute @workgroup_size(8, 8, 2)
fn backward_data(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    transposed(group, local, index, 4u);
}

// The same for one quad of inputs, as colours have it. Grid: (width/16, height/16, rows * in_quads), rounded up.
@compute @workgroup_size(8, 8)
fn backward_data_narrow(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    transposed(group, local, index, 1u);
}

fn store_window(w: Window, gradient: u32, quad: u32, row: u32, column: u32) {
    if quad < conv.in_quads {
        let plane = gradient * conv.in_quads + quad;
        store(w.a, plane, row, column);
        store(w.b, plane, row, column + 1u);
        store(w.c, plane, row + 1u, column);
        store(w.d, plane, row + 1u, column + 1u);
    }
}

fn store(value: vec4<f32>, plane: u32, row: u32, column: u32) {
    if row < conv.height && column < conv.width {
        set_d_x((plane * conv.height + row) * conv.width + column, value);
    }
}
