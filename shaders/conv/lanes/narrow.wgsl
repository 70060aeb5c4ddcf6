// The lane body where the input has a single quad, as colours have: a lane owns 4x4 pixels of it.

// Six pixels of a row, channel by channel: a column holds four neighbours of one channel, from the first, the second and
// the third pixel on.
struct Strip { first: mat4x4<f32>, second: mat4x4<f32>, third: mat4x4<f32> }

// Row `row` of a plane from `column` on; beyond the picture the zero border stands in.
fn strip(plane: u32, row: u32, column: u32) -> Strip {
    let pitch = conv.width + 2u;
    let at = (plane * (conv.height + 2u) + min(row, conv.height + 1u)) * pitch;
    let last = at + pitch - 1u;
    let a = x_at(at + column);
    let b = x_at(at + column + 1u);
    let c = x_at(min(at + column + 2u, last));
    let d = x_at(min(at + column + 3u, last));
    let e = x_at(min(at + column + 4u, last));
    let f = x_at(min(at + column + 5u, last));
    return Strip(transpose(mat4x4(a, b, c, d)), transpose(mat4x4(b, c, d, e)), transpose(mat4x4(c, d, e, f)));
}

fn weigh(s: Strip, w0: vec4<f32>, w1: vec4<f32>, w2: vec4<f32>) -> vec4<f32> {
    return s.first * w0 + s.second * w1 + s.third * w2;
}

// 4x4 pixels of an output channel, a column for each row of them.
fn channel(s: array<Strip, 6>, w: Patch) -> mat4x4<f32> {
    return mat4x4(
        weigh(s[0], w.p0, w.p1, w.p2) + weigh(s[1], w.p3, w.p4, w.p5) + weigh(s[2], w.p6, w.p7, w.p8),
        weigh(s[1], w.p0, w.p1, w.p2) + weigh(s[2], w.p3, w.p4, w.p5) + weigh(s[3], w.p6, w.p7, w.p8),
        weigh(s[2], w.p0, w.p1, w.p2) + weigh(s[3], w.p3, w.p4, w.p5) + weigh(s[4], w.p6, w.p7, w.p8),
        weigh(s[3], w.p0, w.p1, w.p2) + weigh(s[4], w.p3, w.p4, w.p5) + weigh(s[5], w.p6, w.p7, w.p8),
    );
}

// A lane holds what its pixels are made of, and goes through the output channels.
// Grid: (blocks of 4x4 pixels of all images / 8, over x and y), rounded up.
@compute @workgroup_size(8)
fn forward(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let lane = local.x & 7u;
    let index = id.x + id.y * groups.x * 8u;
    let rows = (conv.height + 3u) / 4u;
    let columns = (conv.width + 3u) / 4u;
    let image = min(index / (rows * columns), conv.images - 1u);
    let row = index / columns % rows;
    let column = index % columns;
    let strips = array(
        strip(image, row * 4u, column * 4u), strip(image, row * 4u + 1u, column * 4u),
        strip(image, row * 4u + 2u, column * 4u), strip(image, row * 4u + 3u, column * 4u),
        strip(image, row * 4u + 4u, column * 4u), strip(image, row * 4u + 5u, column * 4u),
    );
    let outputs = conv.out_quads * 4u;
    // Lanes 0 to 3 hold four output channels of one tap, lanes 4 to 7 those of the next.
    let next = select(0u, outputs, lane >= 4u);
    let last_row = select(0u, min(row * 2u + 2u, conv.height / 2u), index < conv.images * rows * columns);
    for (var quad = 0u; quad < conv.out_quads; quad++) {
        let at = quad * 4u + (lane & 3u);
        let taps01 = weights_at(at + next);
        let taps23 = weights_at(at + 2u * outputs + next);
        let taps45 = weights_at(at + 4u * outputs + next);
        let taps67 = weights_at(at + 6u * outputs + next);
        let m0 = four(taps01);
        let m1 = next_four(taps01);
        let m2 = four(taps23);
        let m3 = next_four(taps23);
        let m4 = four(taps45);
        let m5 = next_four(taps45);
        let m6 = four(taps67);
        let m7 = next_four(taps67);
        let m8 = four(weights_at(at + 8u * outputs));
        let a = channel(strips, Patch(m0[0], m1[0], m2[0], m3[0], m4[0], m5[0], m6[0], m7[0], m8[0]));
        let b = channel(strips, Patch(m0[1], m1[1], m2[1], m3[1], m4[1], m5[1], m6[1], m7[1], m8[1]));
        let c = channel(strips, Patch(m0[2], m1[2], m2[2], m3[2], m4[2], m5[2], m6[2], m7[2], m8[2]));
        let d = channel(strips, Patch(m0[3], m1[3], m2[3], m3[3], m4[3], m5[3], m6[3], m7[3], m8[3]));
        let r0 = transpose(mat4x4(a[0], b[0], c[0], d[0]));
        let r1 = transpose(mat4x4(a[1], b[1], c[1], d[1]));
        let r2 = transpose(mat4x4(a[2], b[2], c[2], d[2]));
        let r3 = transpose(mat4x4(a[3], b[3], c[3], d[3]));
        for (var window = row * 2u; window < last_row; window++) {
            let upper = choose(r0, r2, window != row * 2u);
            let lower = choose(r1, r3, window != row * 2u);
            if column * 2u < conv.width / 2u {
                pool(upper[0], upper[1], lower[0], lower[1], image, quad, window, column * 2u);
            }
            if column * 2u + 1u < conv.width / 2u {
                pool(upper[2], upper[3], lower[2], lower[3], image, quad, window, column * 2u + 1u);
            }
        }
    }
}

// One quad of d_x at four neighbouring pixels (columns) from one row of dz; w2 to w0: a row of taps turned around.
fn narrow_row(u: Six, w0: mat4x4<f32>, w1: mat4x4<f32>, w2: mat4x4<f32>) -> mat4x4<f32> {
    return w2 * mat4x4(u.a, u.b, u.c, u.d) + w1 * mat4x4(u.b, u.c, u.d, u.e) + w0 * mat4x4(u.c, u.d, u.e, u.f);
}

fn store_four(value: mat4x4<f32>, plane: u32, row: u32, column: u32) {
    store(value[0], plane, row, column);
    store(value[1], plane, row, column + 1u);
    store(value[2], plane, row, column + 2u);
    store(value[3], plane, row, column + 3u);
}

// Grid: (blocks of 4x4 pixels of d_x, of all rows / 8, over x and y; in_quads), rounded up.
@compute @workgroup_size(8)
fn backward_data(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let lane = local.x & 7u;
    let index = id.x + id.y * groups.x * 8u;
    let rows = (conv.height + 3u) / 4u;
    let columns = (conv.width + 3u) / 4u;
    let gradient = min(index / (rows * columns), conv.rows - 1u);
    let row = i32(index / columns % rows) * 2;
    let column = i32(index % columns) * 2;
    let outputs = conv.out_quads * 4u;
    // Lanes 0 to 3 hold four output channels of one tap, lanes 4 to 7 those of the next.
    var low = id.z * 9u * outputs + (lane & 3u);
    let next = select(0u, outputs, lane >= 4u);
    var r0 = mat4x4<f32>();
    var r1 = mat4x4<f32>();
    var r2 = mat4x4<f32>();
    var r3 = mat4x4<f32>();
    var at = planes(gradient);
    for (var q = 0u; q < conv.out_quads; q++) {
        let z = six_rows(at, row, column);
        let taps01 = weights_at(low + next);
        let taps23 = weights_at(low + 2u * outputs + next);
        let taps45 = weights_at(low + 4u * outputs + next);
        let taps67 = weights_at(low + 6u * outputs + next);
        let tap8 = weights_at(low + 8u * outputs);
        let w0 = four(taps01);
        let w1 = next_four(taps01);
        let w2 = four(taps23);
        r0 += narrow_row(z.r2, w0, w1, w2);
        r1 += narrow_row(z.r3, w0, w1, w2);
        r2 += narrow_row(z.r4, w0, w1, w2);
        r3 += narrow_row(z.r5, w0, w1, w2);
        let w3 = next_four(taps23);
        let w4 = four(taps45);
        let w5 = next_four(taps45);
        r0 += narrow_row(z.r1, w3, w4, w5);
        r1 += narrow_row(z.r2, w3, w4, w5);
        r2 += narrow_row(z.r3, w3, w4, w5);
        r3 += narrow_row(z.r4, w3, w4, w5);
        let w6 = four(taps67);
        let w7 = next_four(taps67);
        let w8 = four(tap8);
        r0 += narrow_row(z.r0, w6, w7, w8);
        r1 += narrow_row(z.r1, w6, w7, w8);
        r2 += narrow_row(z.r2, w6, w7, w8);
        r3 += narrow_row(z.r3, w6, w7, w8);
        low += 4u;
        at = next_plane(at);
    }
    if index / (rows * columns) >= conv.rows {
        return;
    }
    let plane = gradient * conv.in_quads + id.z;
    let top = u32(row) * 2u;
    let left = u32(column) * 2u;
    store_four(r0, plane, top, left);
    store_four(r1, plane, top + 1u, left);
    store_four(r2, plane, top + 2u, left);
    store_four(r3, plane, top + 3u, left);
}
