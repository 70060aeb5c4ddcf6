// A workgroup sums the gradients of the weights from `inputs` quads of input channels to 8 quads of output channels over a
// chunk of pieces of the pictures, 16 pixels wide. The pixels of a piece are shared out among `parts`, two rows high, of which
// `parts_across` lie beside each other. An invocation owns the three taps of one row of the filter, from one quad of inputs to
// two quads of outputs, over the pixels of its part. Dense sums: picking out the one in four gradients that is not zero takes a
// GPU more instructions than the multiply-adds that it saves.
//
// One of weights/wide.wgsl, weights/narrow.wgsl and weights/small.wgsl says what a workgroup takes.

const outputs = 8u;
const invocations = inputs * parts * 12u;
const rows = 2u * parts / parts_across;      // of a piece
const columns = 16u;
const row_pitch = columns + 2u;
const x_pitch = (rows + 2u) * row_pitch + 1u;    // the odd quad spares neighbours from meeting in one bank
const z_pitch = rows * columns + 1u;

var<workgroup> x_tile: array<vec4<f32>, inputs * x_pitch>;
var<workgroup> z_tile: array<vec4<f32>, outputs * z_pitch>;

// The gradients of a row of three taps: a column for each of four output channels.
struct Row { left: mat4x4<f32>, middle: mat4x4<f32>, right: mat4x4<f32> }

struct Sums { low: Row, high: Row }

fn add_outer(m: mat4x4<f32>, x: vec4<f32>, z: vec4<f32>) -> mat4x4<f32> {
    return mat4x4(m[0] + x * z.x, m[1] + x * z.y, m[2] + x * z.z, m[3] + x * z.w);
}

fn add_pixel(s: Row, x: vec4<f32>, y: vec4<f32>, w: vec4<f32>, z: vec4<f32>) -> Row {
    return Row(add_outer(s.left, x, z), add_outer(s.middle, y, z), add_outer(s.right, w, z));
}

// Grid: (in_quads/inputs * out_quads/8, chunks), rounded up.
@compute @workgroup_size(invocations)
fn backward_weights(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
    let across = (conv.width + columns - 1u) / columns;
    let down = (conv.height + rows - 1u) / rows;
    let blocks = (conv.in_quads + inputs - 1u) / inputs;
    let first_in = group.x % blocks * inputs;
    let first_out = group.x / blocks * outputs;
    let pair = index % 4u;
    let filter_row = index / 4u % 3u;
    let in = index / 12u % inputs;
    let part = index / (12u * inputs);
    var sums = Sums();
    var bias_sum = vec4(0.0);
    let end = min((group.y + 1u) * conv.chunk, conv.images * across * down);
    for (var piece = group.y * conv.chunk; piece < end; piece++) {
        let image = piece / (across * down);
        let top = piece / across % down * rows;
        let left = piece % across * columns;
        workgroupBarrier();
        load_x(index, image, first_in, top, left);
        load_z(index, image, first_out, top / 2u, left / 2u);
        workgroupBarrier();
        for (var i = 0u; i < 2u; i++) {
            let row = part / parts_across * 2u + i;
            let first = part % parts_across * (columns / parts_across);
            let start = in * x_pitch + (row + filter_row) * row_pitch + first;
            let z = pair * 2u * z_pitch + row * columns + first;
            var a = x_tile[start];
            var b = x_tile[start + 1u];
            for (var column = 0u; column < columns / parts_across; column += 2u) {
                let c = x_tile[start + column + 2u];
                let d = x_tile[start + column + 3u];
                sums.low = add_pixel(sums.low, a, b, c, z_tile[z + column]);
                sums.high = add_pixel(sums.high, a, b, c, z_tile[z + column + z_pitch]);
                sums.low = add_pixel(sums.low, b, c, d, z_tile[z + column + 1u]);
                sums.high = add_pixel(sums.high, b, c, d, z_tile[z + column + z_pitch + 1u]);
                a = c;
                b = d;
            }
        }
        // Every invocation adds up its share of the pixels of one output quad.
        if first_in == 0u {
            for (var i = index / outputs; i < rows * columns; i += invocations / outputs) {
                bias_sum += z_tile[index % outputs * z_pitch + i];
            }
        }
    }
    if parts > 1u {
        sums = Sums(add_parts(sums.low, index), add_parts(sums.high, index));
    }
    let quad = first_out + pair * 2u;
    let at = ((group.y * conv.in_quads + first_in + in) * 9u + filter_row * 3u) * conv.out_quads + quad;
    if first_in + in < conv.in_quads && part == 0u {
        store_row(sums.low, at, quad);
        store_row(sums.high, at + 1u, quad + 1u);
    }
    workgroupBarrier();
    z_tile[index] = bias_sum;
    workgroupBarrier();
    if index < outputs && first_in == 0u && first_out + index < conv.out_quads {
        var total = vec4(0.0);
        for (var i = index; i < invocations; i += outputs) {
            total += z_tile[i];
        }
        d_bias[group.y * conv.out_quads + first_out + index] = total;
    }
}

// For the invocations of the first part, the sum over all parts.
fn add_parts(r: Row, index: u32) -> Row {
    return Row(add_part(r.left, index), add_part(r.middle, index), add_part(r.right, index));
}

fn add_part(m: mat4x4<f32>, index: u32) -> mat4x4<f32> {
    return mat4x4(add_column(m[0], index), add_column(m[1], index), add_column(m[2], index), add_column(m[3], index));
}

// A column at a time: more of all invocations would not fit where dz was.
const_assert invocations <= outputs * z_pitch;

fn add_column(own: vec4<f32>, index: u32) -> vec4<f32> {
    workgroupBarrier();
    z_tile[index] = own;
    workgroupBarrier();
    var sum = own;
    for (var at = index + invocations / parts; at < invocations; at += invocations / parts) {
        sum += z_tile[at];
    }
    return sum;
}

fn load_x(index: u32, image: u32, first: u32, top: u32, left: u32) {
    for (var i = index; i < inputs * (rows + 2u) * row_pitch; i += invocations) {
        let place = i % ((rows + 2u) * row_pitch);
        let in = i / ((rows + 2u) * row_pitch);
        let row = top + place / row_pitch;
        let column = left + place % row_pitch;
        var value = vec4(0.0);
        if first + in < conv.in_quads && row < conv.height + 2u && column < conv.width + 2u {
            let plane = image * conv.in_quads + first + in;
            value = x_at((plane * (conv.height + 2u) + row) * (conv.width + 2u) + column);
        }
        x_tile[in * x_pitch + place] = value;
    }
}

// dz, from the windows that begin at (top, left).
fn load_z(index: u32, image: u32, first: u32, top: u32, left: u32) {
    for (var i = index; i < outputs * rows * columns / 4u; i += invocations) {
        let out = i / (rows * columns / 4u);
        let row = i / (columns / 2u) % (rows / 2u);
        let column = i % (columns / 2u);
        var p = Pooled(vec4(0.0), vec4(4u));
        if first + out < conv.out_quads && top + row < conv.height / 2u && left + column < conv.width / 2u {
            let plane = image * conv.out_quads + first + out;
            let place = (plane * (conv.height / 2u) + top + row) * (conv.width / 2u) + left + column;
            p = Pooled(d_y_at(place), places(won[place]));
        }
        let at = out * z_pitch + row * 2u * columns + column * 2u;
        z_tile[at] = unpool(p, 0u);
        z_tile[at + 1u] = unpool(p, 1u);
        z_tile[at + columns] = unpool(p, 2u);
        z_tile[at + columns + 1u] = unpool(p, 3u);
    }
}

fn store_row(r: Row, at: u32, quad: u32) {
    if quad < conv.out_quads {
        store_tap(r.left, at * 4u);
        store_tap(r.middle, (at + conv.out_quads) * 4u);
        store_tap(r.right, (at + 2u * conv.out_quads) * 4u);
    }
}

fn store_tap(m: mat4x4<f32>, at: u32) {
    d_weights[at] = m[0];
    d_weights[at + 1u] = m[1];
    d_weights[at + 2u] = m[2];
    d_weights[at + 3u] = m[3];
}
