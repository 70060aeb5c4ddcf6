// The body for GPUs: 32x32 outputs a workgroup of 8x8, four rows of one quad an invocation; 32 terms of the sum at a
// time pass through workgroup memory.

var<workgroup> left: array<vec4<f32>, 288>;    // [32 rows][8 quads], as `place` orders them
var<workgroup> right: array<vec4<f32>, 288>;   // the same

// Every fourth row together, and nine quads from one to the next: whether invocations read side by side neighbouring quads, or
// one quad of every fourth row, none of them meet in a bank.
fn place(row: u32, quad: u32) -> u32 {
    return (row % 4u) * 72u + row / 4u * 9u + quad;
}

// Four rows from `row` on, a multiple of four, at one quad.
fn four(row: u32, quad: u32) -> mat4x4<f32> {
    let at = place(row, quad);
    return mat4x4(right[at], right[at + 72u], right[at + 144u], right[at + 216u]);
}
fn rows_of_left(row: u32, quad: u32) -> mat4x4<f32> {
    let at = place(row, quad);
    return mat4x4(left[at], left[at + 72u], left[at + 144u], left[at + 216u]);
}

// Grid: (out_quads/8, rows/32, slices), rounded up.
@compute @workgroup_size(8, 8)
fn forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let end = min((group.z + 1u) * dense.slice, dense.in_quads);
    var sum = mat4x4<f32>();   // a column for each of 4 rows of y
    for (var k = group.z * dense.slice; k < end; k += 8u) {
        workgroupBarrier();
        for (var i = index; i < 256u; i += 64u) {
            let at = place(i / 8u, i % 8u);
            let row = group.y * 32u + i / 8u;
            let quad = k + i % 8u;
            left[at] = vec4(0.0);
            if row < dense.rows && quad < end {
                left[at] = x[row * dense.pitch + quad];
            }
            let input = k * 4u + i / 8u;
            let out = group.x * 8u + i % 8u;
            right[at] = vec4(0.0);
            if input < end * 4u && out < dense.out_quads {
                right[at] = weights[input * dense.out_quads + out];
            }
        }
        workgroupBarrier();
        for (var q = 0u; q < 8u; q++) {
            sum += four(q * 4u, local.x) * rows_of_left(local.y * 4u, q);
        }
    }
    let out = group.x * 8u + local.x;
    for (var r = 0u; r < 4u; r++) {
        let row = group.y * 32u + local.y * 4u + r;
        if row < dense.rows && out < dense.out_quads {
            partial[(group.z * dense.rows + row) * dense.out_quads + out] = sum[r];
        }
    }
}

// Grid: (in_quads/8 over x and z; rows/32), rounded up.
@compute @workgroup_size(8, 8)
fn backward_data(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let block = group.x + group.z * groups.x;
    var sum = mat4x4<f32>();   // a column for each of 4 rows of d_x
    for (var n = 0u; n < dense.out_quads; n += 8u) {
        workgroupBarrier();
        for (var i = index; i < 256u; i += 64u) {
            let at = place(i / 8u, i % 8u);
            let row = group.y * 32u + i / 8u;
            let out = n + i % 8u;
            left[at] = vec4(0.0);
            if row < dense.rows && out < dense.out_quads {
                left[at] = d_y[row * dense.out_quads + out];
            }
            let input = block * 32u + i / 8u;
            right[at] = vec4(0.0);
            if input < dense.in_quads * 4u && out < dense.out_quads {
                right[at] = weights[input * dense.out_quads + out];
            }
        }
        workgroupBarrier();
        for (var q = 0u; q < 8u; q++) {
            sum += transpose(four(local.x * 4u, q)) * rows_of_left(local.y * 4u, q);
        }
    }
    let quad = block * 8u + local.x;
    for (var r = 0u; r < 4u; r++) {
        let row = group.y * 32u + local.y * 4u + r;
        if row < dense.rows && quad < dense.in_quads {
            d_x[row * dense.pitch + quad] = sum[r];
        }
    }
}

// The first row of workgroups has the bias too, whose sums are those of what they load of d_y.
// Grid: (out_quads/8; in_quads/8 over y and z), rounded up.
@compute @workgroup_size(8, 8)
fn backward_weights(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let block = group.y + group.z * groups.y;
    let has_bias = block == 0u && local.y == 0u;
    var of_bias = vec4(0.0);
    var sum = mat4x4<f32>();   // a column for each of 4 inputs
    for (var m = 0u; m < dense.rows; m += 32u) {
        workgroupBarrier();
        for (var i = index; i < 256u; i += 64u) {
            let at = place(i / 8u, i % 8u);
            let row = m + i / 8u;
            let quad = block * 8u + i % 8u;
            left[at] = vec4(0.0);
            if row < dense.rows && quad < dense.in_quads {
                left[at] = x[row * dense.pitch + quad];
            }
            let out = group.x * 8u + i % 8u;
            right[at] = vec4(0.0);
            if row < dense.rows && out < dense.out_quads {
                right[at] = d_y[row * dense.out_quads + out];
            }
        }
        workgroupBarrier();
        for (var q = 0u; q < 8u; q++) {
            sum += four(q * 4u, local.x) * transpose(rows_of_left(q * 4u, local.y));
        }
        if has_bias {
            for (var row = 0u; row < 32u; row++) {
                of_bias += right[place(row, local.x)];
            }
        }
    }
    let out = group.x * 8u + local.x;
    if has_bias && out < dense.out_quads {
        d_bias[out] = of_bias;
    }
    for (var j = 0u; j < 4u; j++) {
        let input = (block * 8u + local.y) * 4u + j;
        if input < dense.in_quads * 4u && out < dense.out_quads {
            d_weights[input * dense.out_quads + out] = sum[j];
        }
    }
}
