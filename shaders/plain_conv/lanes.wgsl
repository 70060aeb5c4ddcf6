// The body for software adapters with subgroups of 8. A load from a buffer whose address differs between lanes costs ten
// times a broadcast, so the lanes load eight different vectors and share them.

fn turned(m: mat4x4<f32>, transposed: bool) -> mat4x4<f32> {
    if transposed {
        return transpose(m);
    }
    return m;
}

// One quad of the source times the weights of `size` quads of the target.
fn multiply(p: Sums, x: Eight, w0: vec4<f32>, w1: vec4<f32>, size: u32, transposed: bool) -> Sums {
    var s = p;
    let m0 = turned(four(w0), transposed);
    s.a[0] += x.a * m0; s.b[0] += x.b * m0; s.c[0] += x.c * m0; s.d[0] += x.d * m0;
    s.e[0] += x.e * m0; s.f[0] += x.f * m0; s.g[0] += x.g * m0; s.h[0] += x.h * m0;
    if size > 1u {
        let m1 = turned(next_four(w0), transposed);
        s.a[1] += x.a * m1; s.b[1] += x.b * m1; s.c[1] += x.c * m1; s.d[1] += x.d * m1;
        s.e[1] += x.e * m1; s.f[1] += x.f * m1; s.g[1] += x.g * m1; s.h[1] += x.h * m1;
    }
    if size > 2u {
        let m2 = turned(four(w1), transposed);
        s.a[2] += x.a * m2; s.b[2] += x.b * m2; s.c[2] += x.c * m2; s.d[2] += x.d * m2;
        s.e[2] += x.e * m2; s.f[2] += x.f * m2; s.g[2] += x.g * m2; s.h[2] += x.h * m2;
        let m3 = turned(next_four(w1), transposed);
        s.a[3] += x.a * m3; s.b[3] += x.b * m3; s.c[3] += x.c * m3; s.d[3] += x.d * m3;
        s.e[3] += x.e * m3; s.f[3] += x.f * m3; s.g[3] += x.g * m3; s.h[3] += x.h * m3;
    }
    return s;
}

// A lane owns eight pixels of a block of `size` quads of the target: 1, 2 or 4, which each entry point says anew, so that
// what it does not need is compiled away. Sums are numbered through all images, so that small ones fill the lanes.
fn gather(w: Walk, start: Sums, b: Block, index: u32, lane: u32, size: u32, transposed: bool) {
    let own = select(conv.group_out_quads, conv.group_in_quads, transposed);
    let quads = select(conv.group_in_quads, conv.group_out_quads, transposed);
    let all = select(conv.in_quads, conv.out_quads, transposed);
    let outputs = conv.out_quads * 4u;
    let plane = w.height * w.width;
    let base = b.group * quads * plane;
    // Lanes hold the weights of eight output channels; or, of two input quads, those of four output channels.
    let channel = (b.group * own + b.first) * 4u + lane;
    let quad = b.first + (lane >> 2u);
    var low = min(channel, outputs - 1u);
    var high = min(channel + 8u, outputs - 1u);
    var pitch = taps() * outputs;
    if transposed {
        low = min(quad, own - 1u) * pitch + b.group * quads * 4u + (lane & 3u);
        high = min(quad + 2u, own - 1u) * pitch + b.group * quads * 4u + (lane & 3u);
        pitch = 4u;
    }
    let by = place_of(8u, w);
    let p0 = place_of(index, w);
    let p1 = onward(p0, by, w);
    let p2 = onward(p1, by, w);
    let p3 = onward(p2, by, w);
    let p4 = onward(p3, by, w);
    let p5 = onward(p4, by, w);
    let p6 = onward(p5, by, w);
    let p7 = onward(p6, by, w);
    let o0 = origin(w, p0, base, all * plane);
    let o1 = origin(w, p1, base, all * plane);
    let o2 = origin(w, p2, base, all * plane);
    let o3 = origin(w, p3, base, all * plane);
    let o4 = origin(w, p4, base, all * plane);
    let o5 = origin(w, p5, base, all * plane);
    let o6 = origin(w, p6, base, all * plane);
    let o7 = origin(w, p7, base, all * plane);
    var s = start;
    var row = 0u;
    for (var i = w.tap.x; i < conv.kernel; i += w.tap_step) {
        var column = 0u;
        for (var j = w.tap.y; j < conv.kernel; j += w.tap_step) {
            let at = vec2(row, column);
            let r0 = reach(w, o0, at);
            let r1 = reach(w, o1, at);
            let r2 = reach(w, o2, at);
            let r3 = reach(w, o3, at);
            let r4 = reach(w, o4, at);
            let r5 = reach(w, o5, at);
            let r6 = reach(w, o6, at);
            let r7 = reach(w, o7, at);
            var tap = (i * conv.kernel + j) * outputs;
            for (var q = 0u; q < quads; q++) {
                let o = q * plane;
                let x = Eight(pixel_at(r0, o), pixel_at(r1, o), pixel_at(r2, o), pixel_at(r3, o), pixel_at(r4, o), pixel_at(r5, o), pixel_at(r6, o), pixel_at(r7, o));
                let w0 = weights[low + tap];
                var w1 = w0;
                if size > 2u {
                    w1 = weights[high + tap];
                }
                s = multiply(s, x, w0, w1, size, transposed);
                tap += pitch;
            }
            column += w.turn;
        }
        row += w.turn;
    }
    let target_quads = select(conv.out_quads, conv.in_quads, transposed);
    for (var k = 0u; k < b.count; k++) {
        let into = b.group * own + b.first + k;
        store(pick(s.a, k), w, p0, target_quads, into);
        store(pick(s.b, k), w, p1, target_quads, into);
        store(pick(s.c, k), w, p2, target_quads, into);
        store(pick(s.d, k), w, p3, target_quads, into);
        store(pick(s.e, k), w, p4, target_quads, into);
        store(pick(s.f, k), w, p5, target_quads, into);
        store(pick(s.g, k), w, p6, target_quads, into);
        store(pick(s.h, k), w, p7, target_quads, into);
    }
}

// The first of a lane's pixels, which lie eight apart.
fn first_pixel(group: vec3<u32>, groups: vec3<u32>, lane: u32) -> u32 {
    return (group.y + group.z * groups.y) * 64u + lane;
}

fn forward_block(group: vec3<u32>, groups: vec3<u32>, lane: u32, size: u32) {
    let b = block_of(group.x, size, conv.group_out_quads);
    let first = b.group * conv.group_out_quads + b.first;
    let last = conv.out_quads - 1u;
    let o = mat4x4(bias[first], bias[min(first + 1u, last)], bias[min(first + 2u, last)], bias[min(first + 3u, last)]);
    gather(forward_walk(), Sums(o, o, o, o, o, o, o, o), b, first_pixel(group, groups, lane), lane, size, false);
}

fn transposed_block(group: vec3<u32>, groups: vec3<u32>, lane: u32, size: u32) {
    let phases = conv.stride * conv.stride;
    let b = block_of(group.x / phases, size, conv.group_in_quads);
    let w = transposed_walk(group.x % phases);
    // A picture smaller than the stride has no pixel in some phases.
    if w.rows == 0u || w.columns == 0u {
        return;
    }
    gather(w, Sums(), b, first_pixel(group, groups, lane), lane, size, true);
}

// Grid: (blocks of 4 quads of y, of all groups; pixels of y, of all images / 64, over y and z), rounded up. Threads take up
// workgroups in order, so that the blocks of the same pixels are worked on together.
@compute @workgroup_size(8)
fn forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    forward_block(group, groups, local.x & 7u, 4u);
}

// The same in blocks of 2 quads.
@compute @workgroup_size(8)
fn forward_narrow(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    forward_block(group, groups, local.x & 7u, 2u);
}

// Grid: (phases of blocks of 4 quads of d_x, of all groups; pixels of a phase, of all rows / 64, over y and z), rounded up.
@compute @workgroup_size(8)
fn backward_data(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    transposed_block(group, groups, local.x & 7u, 4u);
}

// The same in blocks of 1 quad, as colours have it.
@compute @workgroup_size(8)
fn backward_data_narrow(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    transposed_block(group, groups, local.x & 7u, 1u);
}

// A lane owns one tap of one input quad, for a block of `size` output quads, 4 or 8; eight pixels of y at a time.
fn weights_block(group: vec3<u32>, lane: u32, size: u32) {
    let w = forward_walk();
    let b = block_of(group.y, size, conv.group_out_quads);
    let first = b.group * conv.group_out_quads + b.first;
    let all = conv.group_in_quads * taps();
    let own = min(group.x * 8u + lane, all - 1u);
    let at = tap_at(own % taps());
    let image_size = conv.in_quads * conv.height * conv.width;
    let base = (b.group * conv.group_in_quads + own / taps()) * conv.height * conv.width;
    let out_plane = conv.out_height * conv.out_width;
    // Quads beyond the block's last are its last again.
    let o1 = min(1u, b.count - 1u) * out_plane;
    let o2 = min(2u, b.count - 1u) * out_plane;
    let o3 = min(3u, b.count - 1u) * out_plane;
    let o4 = min(4u, b.count - 1u) * out_plane;
    let o5 = min(5u, b.count - 1u) * out_plane;
    let o6 = min(6u, b.count - 1u) * out_plane;
    let o7 = min(7u, b.count - 1u) * out_plane;
    let by = place_of(8u, w);
    let end = min((group.z + 1u) * conv.chunk, conv.images * out_plane);
    var s = Sums();
    var t = Eight();
    // The pixel whose gradients the lane loads.
    var p = place_of(group.z * conv.chunk + lane, w);
    for (var pixel = group.z * conv.chunk; pixel < end; pixel += 8u) {
        let seen = origin(w, p, 0u, image_size);
        let x = mat4x4(
            pixel_at(reach(w, subgroupBroadcast(seen, 0u), at), base),
            pixel_at(reach(w, subgroupBroadcast(seen, 1u), at), base),
            pixel_at(reach(w, subgroupBroadcast(seen, 2u), at), base),
            pixel_at(reach(w, subgroupBroadcast(seen, 3u), at), base),
        );
        let next = mat4x4(
            pixel_at(reach(w, subgroupBroadcast(seen, 4u), at), base),
            pixel_at(reach(w, subgroupBroadcast(seen, 5u), at), base),
            pixel_at(reach(w, subgroupBroadcast(seen, 6u), at), base),
            pixel_at(reach(w, subgroupBroadcast(seen, 7u), at), base),
        );
        let counted = pixel + lane < end;
        let d = select(0u, ((p.x * conv.out_quads + first) * conv.out_height + p.y) * conv.out_width + p.z, counted);
        let d0 = select(vec4(0.0), d_y_at(d), counted);
        let d1 = select(vec4(0.0), d_y_at(d + o1), counted);
        let d2 = select(vec4(0.0), d_y_at(d + o2), counted);
        let d3 = select(vec4(0.0), d_y_at(d + o3), counted);
        s.a += outer(x, next, d0);
        s.b += outer(x, next, d1);
        s.c += outer(x, next, d2);
        s.d += outer(x, next, d3);
        t.a += d0; t.b += d1; t.c += d2; t.d += d3;
        if size > 4u {
            let d4 = select(vec4(0.0), d_y_at(d + o4), counted);
            let d5 = select(vec4(0.0), d_y_at(d + o5), counted);
            let d6 = select(vec4(0.0), d_y_at(d + o6), counted);
            let d7 = select(vec4(0.0), d_y_at(d + o7), counted);
            s.e += outer(x, next, d4);
            s.f += outer(x, next, d5);
            s.g += outer(x, next, d6);
            s.h += outer(x, next, d7);
            t.e += d4; t.f += d5; t.g += d6; t.h += d7;
        }
        p = onward(p, by, w);
    }
    if group.x * 8u + lane < all {
        for (var k = 0u; k < b.count; k++) {
            let m = pick_sum(s, k);
            let into = ((group.z * all + own) * conv.out_quads + first + k) * 4u;
            d_weights[into] = m[0];
            d_weights[into + 1u] = m[1];
            d_weights[into + 2u] = m[2];
            d_weights[into + 3u] = m[3];
        }
    }
    if group.x == 0u {
        // A lane stores the sum of one quad.
        let low = mat4x4(over_lanes(t.a), over_lanes(t.b), over_lanes(t.c), over_lanes(t.d));
        let high = mat4x4(over_lanes(t.e), over_lanes(t.f), over_lanes(t.g), over_lanes(t.h));
        if lane < b.count {
            d_bias[group.z * conv.out_quads + first + lane] = select(pick(low, lane & 3u), pick(high, lane & 3u), lane >= 4u);
        }
    }
}

// Grid: (taps of input quads of a group / 8; blocks of 8 quads of y, of all groups; chunks), rounded up.
@compute @workgroup_size(8)
fn backward_weights(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
    weights_block(group, local.x & 7u, 8u);
}

// The same in blocks of 4 quads.
@compute @workgroup_size(8)
fn backward_weights_narrow(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
    weights_block(group, local.x & 7u, 4u);
}
