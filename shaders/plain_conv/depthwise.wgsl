// A kernel a channel, for both bodies: an invocation owns eight pixels, 64 apart, of one quad.

fn gather(w: Walk, start: vec4<f32>, quad: u32, index: u32) {
    let plane = w.height * w.width;
    let image_size = conv.in_quads * plane;
    let base = quad * plane;
    let by = place_of(64u, w);
    let p0 = place_of(index, w);
    let p1 = onward(p0, by, w);
    let p2 = onward(p1, by, w);
    let p3 = onward(p2, by, w);
    let p4 = onward(p3, by, w);
    let p5 = onward(p4, by, w);
    let p6 = onward(p5, by, w);
    let p7 = onward(p6, by, w);
    let o0 = origin(w, p0, base, image_size);
    let o1 = origin(w, p1, base, image_size);
    let o2 = origin(w, p2, base, image_size);
    let o3 = origin(w, p3, base, image_size);
    let o4 = origin(w, p4, base, image_size);
    let o5 = origin(w, p5, base, image_size);
    let o6 = origin(w, p6, base, image_size);
    let o7 = origin(w, p7, base, image_size);
    var a = start; var b = start; var c = start; var d = start;
    var e = start; var f = start; var g = start; var h = start;
    var row = 0u;
    for (var i = w.tap.x; i < conv.kernel; i += w.tap_step) {
        var column = 0u;
        for (var j = w.tap.y; j < conv.kernel; j += w.tap_step) {
            let at = vec2(row, column);
            let m = weights[(i * conv.kernel + j) * conv.in_quads + quad];
            a += m * pixel_at(reach(w, o0, at), 0u);
            b += m * pixel_at(reach(w, o1, at), 0u);
            c += m * pixel_at(reach(w, o2, at), 0u);
            d += m * pixel_at(reach(w, o3, at), 0u);
            e += m * pixel_at(reach(w, o4, at), 0u);
            f += m * pixel_at(reach(w, o5, at), 0u);
            g += m * pixel_at(reach(w, o6, at), 0u);
            h += m * pixel_at(reach(w, o7, at), 0u);
            column += w.turn;
        }
        row += w.turn;
    }
    store(a, w, p0, conv.in_quads, quad);
    store(b, w, p1, conv.in_quads, quad);
    store(c, w, p2, conv.in_quads, quad);
    store(d, w, p3, conv.in_quads, quad);
    store(e, w, p4, conv.in_quads, quad);
    store(f, w, p5, conv.in_quads, quad);
    store(g, w, p6, conv.in_quads, quad);
    store(h, w, p7, conv.in_quads, quad);
}

// Grid: (quads; pixels of y, of all images / 512, over y and z), rounded up.
@compute @workgroup_size(64)
fn forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    gather(forward_walk(), bias[group.x], group.x, (group.y + group.z * groups.y) * 512u + local.x);
}

// Grid: (phases of quads; pixels of a phase, of all rows / 512, over y and z), rounded up.
@compute @workgroup_size(64)
fn backward_data(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let phases = conv.stride * conv.stride;
    let w = transposed_walk(group.x % phases);
    // A picture smaller than the stride has no pixel in some phases.
    if w.rows == 0u || w.columns == 0u {
        return;
    }
    gather(w, vec4(0.0), group.x / phases, (group.y + group.z * groups.y) * 512u + local.x);
}

var<workgroup> sums: array<vec4<f32>, 640>;   // [64 invocations][9 taps and the bias]

// A workgroup sums nine taps of one quad over a chunk, an invocation every 64th pixel of it.
// Grid: (quads; taps/9; chunks), rounded up.
@compute @workgroup_size(64)
fn backward_weights(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
    let w = forward_walk();
    let quad = group.x;
    let first = group.y * 9u;
    let last = taps() - 1u;
    let image_size = conv.in_quads * conv.height * conv.width;
    let base = quad * conv.height * conv.width;
    let by = place_of(64u, w);
    let end = min((group.z + 1u) * conv.chunk, conv.images * conv.out_height * conv.out_width);
    var p = place_of(group.z * conv.chunk + local.x, w);
    let a0 = tap_at(min(first, last));
    let a1 = tap_at(min(first + 1u, last));
    let a2 = tap_at(min(first + 2u, last));
    let a3 = tap_at(min(first + 3u, last));
    let a4 = tap_at(min(first + 4u, last));
    let a5 = tap_at(min(first + 5u, last));
    let a6 = tap_at(min(first + 6u, last));
    let a7 = tap_at(min(first + 7u, last));
    let a8 = tap_at(min(first + 8u, last));
    var t0 = vec4(0.0); var t1 = vec4(0.0); var t2 = vec4(0.0);
    var t3 = vec4(0.0); var t4 = vec4(0.0); var t5 = vec4(0.0);
    var t6 = vec4(0.0); var t7 = vec4(0.0); var t8 = vec4(0.0);
    var total = vec4(0.0);
    for (var pixel = group.z * conv.chunk + local.x; pixel < end; pixel += 64u) {
        let d = d_y_at(((p.x * conv.out_quads + quad) * conv.out_height + p.y) * conv.out_width + p.z);
        let o = origin(w, p, base, image_size);
        t0 += d * pixel_at(reach(w, o, a0), 0u);
        t1 += d * pixel_at(reach(w, o, a1), 0u);
        t2 += d * pixel_at(reach(w, o, a2), 0u);
        t3 += d * pixel_at(reach(w, o, a3), 0u);
        t4 += d * pixel_at(reach(w, o, a4), 0u);
        t5 += d * pixel_at(reach(w, o, a5), 0u);
        t6 += d * pixel_at(reach(w, o, a6), 0u);
        t7 += d * pixel_at(reach(w, o, a7), 0u);
        t8 += d * pixel_at(reach(w, o, a8), 0u);
        total += d;
        p = onward(p, by, w);
    }
    let mine = local.x * 10u;
    sums[mine] = t0; sums[mine + 1u] = t1; sums[mine + 2u] = t2;
    sums[mine + 3u] = t3; sums[mine + 4u] = t4; sums[mine + 5u] = t5;
    sums[mine + 6u] = t6; sums[mine + 7u] = t7; sums[mine + 8u] = t8;
    sums[mine + 9u] = total;
    workgroupBarrier();
    if local.x >= 10u {
        return;
    }
    var sum = vec4(0.0);
    for (var i = 0u; i < 64u; i++) {
        sum += sums[i * 10u + local.x];
    }
    if local.x < 9u && first + local.x <= last {
        d_weights[(group.z * taps() + first + local.x) * conv.in_quads + quad] = sum;
    } else if local.x == 9u && group.y == 0u {
        d_bias[group.z * conv.out_quads + quad] = sum;
    }
}
