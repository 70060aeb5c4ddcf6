// The body for software adapters with subgroups of 8: the lanes load what differs between them once, load the other
// factor eight rows at a time, and share it by broadcast. 32 rows stay in registers, so that weights are read once.

fn four(w: vec4<f32>) -> mat4x4<f32> {
    return mat4x4(subgroupBroadcast(w, 0u), subgroupBroadcast(w, 1u), subgroupBroadcast(w, 2u), subgroupBroadcast(w, 3u));
}
fn next_four(w: vec4<f32>) -> mat4x4<f32> {
    return mat4x4(subgroupBroadcast(w, 4u), subgroupBroadcast(w, 5u), subgroupBroadcast(w, 6u), subgroupBroadcast(w, 7u));
}

// One quad of 32 rows, a column a row.
struct Rows {
    a: mat4x4<f32>, b: mat4x4<f32>, c: mat4x4<f32>, d: mat4x4<f32>,
    e: mat4x4<f32>, f: mat4x4<f32>, g: mat4x4<f32>, h: mat4x4<f32>,
}

fn add(s: Rows, m: mat4x4<f32>, r0: vec4<f32>, r1: vec4<f32>, r2: vec4<f32>, r3: vec4<f32>) -> Rows {
    return Rows(
        s.a + m * four(r0), s.b + m * next_four(r0), s.c + m * four(r1), s.d + m * next_four(r1),
        s.e + m * four(r2), s.f + m * next_four(r2), s.g + m * four(r3), s.h + m * next_four(r3),
    );
}

// Where the four rows that a lane loads begin, in quads of `pitch` a row; rows past the end repeat the last.
struct Starts { a: u32, b: u32, c: u32, d: u32 }

fn starts(first: u32, lane: u32, pitch: u32) -> Starts {
    let last = dense.rows - 1u;
    return Starts(
        min(first + lane, last) * pitch, min(first + 8u + lane, last) * pitch,
        min(first + 16u + lane, last) * pitch, min(first + 24u + lane, last) * pitch,
    );
}

fn put(m: mat4x4<f32>, slice: u32, row: u32, out: u32) {
    for (var i = 0u; i < 4u; i++) {
        if row + i < dense.rows && out < dense.out_quads {
            partial[(slice * dense.rows + row + i) * dense.out_quads + out] = m[i];
        }
    }
}

fn put_rows(s: Rows, slice: u32, row: u32, out: u32) {
    put(s.a, slice, row, out);
    put(s.b, slice, row + 4u, out);
    put(s.c, slice, row + 8u, out);
    put(s.d, slice, row + 12u, out);
    put(s.e, slice, row + 16u, out);
    put(s.f, slice, row + 20u, out);
    put(s.g, slice, row + 24u, out);
    put(s.h, slice, row + 28u, out);
}

// A lane owns two quads of outputs, eight apart. Grid: (out_quads/16, rows/32, slices), rounded up.
@compute @workgroup_size(8)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
    let lane = local.x & 7u;
    let out = group.x * 16u + lane;
    let last = dense.out_quads - 1u;
    let pitch = dense.out_quads;
    let end = min((group.z + 1u) * dense.slice, dense.in_quads);
    let rows = starts(group.y * 32u, lane, dense.pitch);
    var near = Rows();
    var far = Rows();
    for (var k = group.z * dense.slice; k < end; k++) {
        let a = x[rows.a + k];
        let b = x[rows.b + k];
        let c = x[rows.c + k];
        let d = x[rows.d + k];
        let at = k * 4u * pitch + min(out, last);
        near = add(near, mat4x4(weights[at], weights[at + pitch], weights[at + 2u * pitch], weights[at + 3u * pitch]), a, b, c, d);
        let also = k * 4u * pitch + min(out + 8u, last);
        far = add(far, mat4x4(weights[also], weights[also + pitch], weights[also + 2u * pitch], weights[also + 3u * pitch]), a, b, c, d);
    }
    put_rows(near, group.z, group.y * 32u, out);
    put_rows(far, group.z, group.y * 32u, out + 8u);
}

fn put_gradient(m: mat4x4<f32>, row: u32, quad: u32) {
    for (var i = 0u; i < 4u; i++) {
        if row + i < dense.rows && quad < dense.in_quads {
            d_x[(row + i) * dense.pitch + quad] = m[i];
        }
    }
}

// A lane owns one quad of inputs. Grid: (in_quads/8 over x and z; rows/32), rounded up.
@compute @workgroup_size(8)
fn backward_data(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let lane = local.x & 7u;
    let first = id.y * 32u;
    let quad = id.x + id.z * groups.x * 8u;
    let pitch = dense.out_quads;
    let at = min(quad, dense.in_quads - 1u) * 4u * pitch;
    let rows = starts(first, lane, pitch);
    var s = Rows();
    for (var n = 0u; n < dense.out_quads; n++) {
        let w = transpose(mat4x4(weights[at + n], weights[at + pitch + n], weights[at + 2u * pitch + n], weights[at + 3u * pitch + n]));
        s = add(s, w, d_y[rows.a + n], d_y[rows.b + n], d_y[rows.c + n], d_y[rows.d + n]);
    }
    put_gradient(s.a, first, quad);
    put_gradient(s.b, first + 4u, quad);
    put_gradient(s.c, first + 8u, quad);
    put_gradient(s.d, first + 12u, quad);
    put_gradient(s.e, first + 16u, quad);
    put_gradient(s.f, first + 20u, quad);
    put_gradient(s.g, first + 24u, quad);
    put_gradient(s.h, first + 28u, quad);
}

// The rows past the end count for nothing.
fn gradient_row(row: u32, out: u32) -> vec4<f32> {
    let value = d_y[min(row, dense.rows - 1u) * dense.out_quads + out];
    return select(vec4(0.0), value, row < dense.rows);
}
fn gradient_rows(row: u32, out: u32) -> mat4x4<f32> {
    return mat4x4(gradient_row(row, out), gradient_row(row + 1u, out), gradient_row(row + 2u, out), gradient_row(row + 3u, out));
}

fn put_weights(m: mat4x4<f32>, quad: u32, out: u32, is_first: bool) {
    for (var j = 0u; j < 4u; j++) {
        if out < dense.out_quads {
            let at = (quad * 4u + j) * dense.out_quads + out;
            var sum = m[j];
            if !is_first {
                sum += d_weights[at];
            }
            d_weights[at] = sum;
        }
    }
}

fn sum_of_columns(before: vec4<f32>, m: mat4x4<f32>) -> vec4<f32> {
    return before + m[0] + m[1] + m[2] + m[3];
}

// Adds 32 rows to the sums of the bias.
fn put_bias(g: Rows, out: u32, is_first: bool) {
    if out < dense.out_quads {
        var sum = vec4(0.0);
        if !is_first {
            sum = d_bias[out];
        }
        sum = sum_of_columns(sum_of_columns(sum_of_columns(sum_of_columns(sum, g.a), g.b), g.c), g.d);
        d_bias[out] = sum_of_columns(sum_of_columns(sum_of_columns(sum_of_columns(sum, g.e), g.f), g.g), g.h);
    }
}

// A lane owns one quad of outputs, and keeps its gradients of 32 rows; the invocation goes through 16 quads of inputs with them.
// The first row of workgroups has the bias too.
// Grid: (out_quads/8; in_quads/16 over y and z), rounded up.
@compute @workgroup_size(8)
fn backward_weights(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let lane = local.x & 7u;
    let out = min(id.x, dense.out_quads - 1u);
    let begin = (id.y + id.z * groups.y) * 16u;
    let end = min(begin + 16u, dense.in_quads);
    for (var m = 0u; m < dense.rows; m += 32u) {
        let g = Rows(
            gradient_rows(m, out), gradient_rows(m + 4u, out), gradient_rows(m + 8u, out), gradient_rows(m + 12u, out),
            gradient_rows(m + 16u, out), gradient_rows(m + 20u, out), gradient_rows(m + 24u, out), gradient_rows(m + 28u, out),
        );
        if begin == 0u {
            put_bias(g, id.x, m == 0u);
        }
        let rows = starts(m, lane, dense.pitch);
        for (var quad = begin; quad < end; quad++) {
            let x0 = x[rows.a + quad];
            let x1 = x[rows.b + quad];
            let x2 = x[rows.c + quad];
            let x3 = x[rows.d + quad];
            let sum = g.a * transpose(four(x0)) + g.b * transpose(next_four(x0))
                + g.c * transpose(four(x1)) + g.d * transpose(next_four(x1))
                + g.e * transpose(four(x2)) + g.f * transpose(next_four(x2))
                + g.g * transpose(four(x3)) + g.h * transpose(next_four(x3));
            put_weights(sum, quad, id.x, m == 0u);
        }
    }
}
