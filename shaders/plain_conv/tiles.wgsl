// The body for GPUs: an invocation keeps up to 16 channels of four pixels in registers; the weights, which all 64 of a
// workgroup use, pass through workgroup memory, eight quads of the source at a time.

var<workgroup> filters: array<vec4<f32>, 128>;

// Up to four quads of channels of four pixels: each quad a column for each pixel.
struct Pixels { a: mat4x4<f32>, b: mat4x4<f32>, c: mat4x4<f32>, d: mat4x4<f32> }

// The weights of a quad of the target, a column for each channel of the source.
fn columns(at: u32, transposed: bool) -> mat4x4<f32> {
    let m = mat4x4(filters[at], filters[at + 1u], filters[at + 2u], filters[at + 3u]);
    if transposed {
        return m;
    }
    return transpose(m);
}

fn add_product(sum: vec4<f32>, m: mat4x4<f32>, x: vec4<f32>) -> vec4<f32> {
    return sum + m[0] * x.x + m[1] * x.y + m[2] * x.z + m[3] * x.w;
}

fn add_products(
    s: mat4x4<f32>, m: mat4x4<f32>, a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>,
) -> mat4x4<f32> {
    return mat4x4(add_product(s[0], m, a), add_product(s[1], m, b), add_product(s[2], m, c), add_product(s[3], m, d));
}

// An invocation owns four pixels, 64 apart, of a block of `size` quads of the target: 1 or 4, which each entry point says
// anew, so that what it does not need is compiled away. Pixels are numbered through all images.
fn gather(w: Walk, start: mat4x4<f32>, b: Block, index: u32, size: u32, transposed: bool) {
    let local = index % 64u;
    let own = select(conv.group_out_quads, conv.group_in_quads, transposed);
    let quads = select(conv.group_in_quads, conv.group_out_quads, transposed);
    let image_size = select(conv.in_quads, conv.out_quads, transposed) * w.height * w.width;
    let target_quads = select(conv.out_quads, conv.in_quads, transposed);
    let plane = w.height * w.width;
    let base = b.group * quads * plane;
    let outputs = conv.out_quads * 4u;
    let by = place_of(64u, w);
    let p0 = place_of(index, w);
    let p1 = onward(p0, by, w);
    let p2 = onward(p1, by, w);
    let p3 = onward(p2, by, w);
    let o0 = origin(w, p0, base, image_size);
    let o1 = origin(w, p1, base, image_size);
    let o2 = origin(w, p2, base, image_size);
    let o3 = origin(w, p3, base, image_size);
    var s = Pixels(four(start[0]), four(start[1]), four(start[2]), four(start[3]));
    for (var i = w.tap.x; i < conv.kernel; i += w.tap_step) {
        for (var j = w.tap.y; j < conv.kernel; j += w.tap_step) {
            let at = w.turn * (vec2(i - w.tap.x, j - w.tap.y) / w.tap_step);
            let ra = reach(w, o0, at);
            let rb = reach(w, o1, at);
            let rc = reach(w, o2, at);
            let rd = reach(w, o3, at);
            let tap = i * conv.kernel + j;
            for (var q = 0u; q < quads; q += 8u) {
                workgroupBarrier();
                for (var f = local; f < 128u; f += 64u) {
                    let quad = min(q + f / 16u, quads - 1u);
                    if transposed {
                        let target_quad = min(b.first + f % 16u / 4u, own - 1u);
                        filters[f] = weights[(target_quad * taps() + tap) * outputs + (b.group * quads + quad) * 4u + f % 4u];
                    } else {
                        let channel = min((b.group * own + b.first) * 4u + f % 16u, outputs - 1u);
                        filters[f] = weights[(quad * taps() + tap) * outputs + channel];
                    }
                }
                workgroupBarrier();
                for (var k = 0u; k < min(8u, quads - q); k++) {
                    let o = (q + k) * plane;
                    let xa = pixel_at(ra, o);
                    let xb = pixel_at(rb, o);
                    let xc = pixel_at(rc, o);
                    let xd = pixel_at(rd, o);
                    let m0 = columns(k * 16u, transposed);
                    s.a = add_products(s.a, m0, xa, xb, xc, xd);
                    if size > 1u {
                        s.b = add_products(s.b, columns(k * 16u + 4u, transposed), xa, xb, xc, xd);
                        s.c = add_products(s.c, columns(k * 16u + 8u, transposed), xa, xb, xc, xd);
                        s.d = add_products(s.d, columns(k * 16u + 12u, transposed), xa, xb, xc, xd);
                    }
                }
            }
        }
    }
    // Not in a loop over quads: what is indexed by a variable does not stay in registers.
    let into = b.group * own + b.first;
    store_four(s.a, w, p0, p1, p2, p3, target_quads, into, true);
    store_four(s.b, w, p0, p1, p2, p3, target_quads, into + 1u, size > 1u && b.count > 1u);
    store_four(s.c, w, p0, p1, p2, p3, target_quads, into + 2u, size > 1u && b.count > 2u);
    store_four(s.d, w, p0, p1, p2, p3, target_quads, into + 3u, size > 1u && b.count > 3u);
}

fn four(v: vec4<f32>) -> mat4x4<f32> {
    return mat4x4(v, v, v, v);
}

fn store_four(
    m: mat4x4<f32>, w: Walk, p0: Place, p1: Place, p2: Place, p3: Place, quads: u32, quad: u32, there: bool,
) {
    if there {
        store(m[0], w, p0, quads, quad);
        store(m[1], w, p1, quads, quad);
        store(m[2], w, p2, quads, quad);
        store(m[3], w, p3, quads, quad);
    }
}

// The first of an invocation's pixels, which lie 64 apart.
fn first_pixel(group: vec3<u32>, groups: vec3<u32>, local: u32) -> u32 {
    return (group.y + group.z * groups.y) * 256u + local;
}

fn forward_block(group: vec3<u32>, groups: vec3<u32>, local: u32, size: u32) {
    let b = block_of(group.x, size, conv.group_out_quads);
    let first = b.group * conv.group_out_quads + b.first;
    let last = conv.out_quads - 1u;
    let o = mat4x4(bias[first], bias[min(first + 1u, last)], bias[min(first + 2u, last)], bias[min(first + 3u, last)]);
    gather(forward_walk(), o, b, first_pixel(group, groups, local), size, false);
}

fn transposed_block(group: vec3<u32>, groups: vec3<u32>, local: u32, size: u32) {
    let phases = conv.stride * conv.stride;
    let b = block_of(group.x / phases, size, conv.group_in_quads);
    let w = transposed_walk(group.x % phases);
    // A picture smaller than the stride has no pixel in some phases.
    if w.rows == 0u || w.columns == 0u {
        return;
    }
    gather(w, mat4x4<f32>(), b, first_pixel(group, groups, local), size, true);
}

// Grid: (blocks of 4 quads of y, of all groups; pixels of y, of all images / 256, over y and z), rounded up.
@compute @workgroup_size(64)
fn forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    forward_block(group, groups, local.x, 4u);
}

// The same in blocks of 1 quad.
@compute @workgroup_size(64)
fn forward_narrow(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    forward_block(group, groups, local.x, 1u);
}

// Grid: (phases of blocks of 4 quads of d_x, of all groups; pixels of a phase, of all rows / 256, over y and z), rounded up.
@compute @workgroup_size(64)
fn backward_data(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    transposed_block(group, groups, local.x, 4u);
}

// The same in blocks of 1 quad, as colours have it.
@compute @workgroup_size(64)
fn backward_data_narrow(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    transposed_block(group, groups, local.x, 1u);
}

var<workgroup> seen: array<vec4<f32>, 64>;        // [8 taps of input quads][8 pixels]
var<workgroup> gradients: array<vec4<f32>, 64>;   // [8 output quads][8 pixels]

// An invocation sums one tap of one input quad for one output quad: eight of each a workgroup, eight pixels at a time.
// Grid: (taps of input quads of a group / 8; blocks of 8 quads of y, of all groups; chunks), rounded up.
@compute @workgroup_size(64)
fn backward_weights(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
    let w = forward_walk();
    let b = block_of(group.y, 8u, conv.group_out_quads);
    let first = b.group * conv.group_out_quads + b.first;
    let all = conv.group_in_quads * taps();
    // What the invocation loads: pixel local % 8 as tap local / 8 saw it, and the gradients there of quad local / 8.
    let loaded = min(group.x * 8u + local.x / 8u, all - 1u);
    let at = tap_at(loaded % taps());
    let image_size = conv.in_quads * conv.height * conv.width;
    let base = (b.group * conv.group_in_quads + loaded / taps()) * conv.height * conv.width;
    let quad = first + min(local.x / 8u, b.count - 1u);
    let by = place_of(8u, w);
    let end = min((group.z + 1u) * conv.chunk, conv.images * conv.out_height * conv.out_width);
    var p = place_of(group.z * conv.chunk + local.x % 8u, w);
    var s = mat4x4<f32>();
    var t = vec4(0.0);
    // What it sums: tap local % 8 for quad local / 8.
    let x = local.x % 8u * 8u;
    let d = local.x / 8u * 8u;
    for (var pixel = group.z * conv.chunk; pixel < end; pixel += 8u) {
        workgroupBarrier();
        seen[local.x] = pixel_at(reach(w, origin(w, p, base, image_size), at), 0u);
        gradients[local.x] = vec4(0.0);
        if pixel + local.x % 8u < end {
            gradients[local.x] = d_y_at(((p.x * conv.out_quads + quad) * conv.out_height + p.y) * conv.out_width + p.z);
        }
        workgroupBarrier();
        s += mat4x4(seen[x], seen[x + 1u], seen[x + 2u], seen[x + 3u])
            * transpose(mat4x4(gradients[d], gradients[d + 1u], gradients[d + 2u], gradients[d + 3u]));
        s += mat4x4(seen[x + 4u], seen[x + 5u], seen[x + 6u], seen[x + 7u])
            * transpose(mat4x4(gradients[d + 4u], gradients[d + 5u], gradients[d + 6u], gradients[d + 7u]));
        t += gradients[local.x];
        p = onward(p, by, w);
    }
    let own = group.x * 8u + local.x % 8u;
    let k = local.x / 8u;
    if own < all && k < b.count {
        let into = ((group.z * all + own) * conv.out_quads + first + k) * 4u;
        d_weights[into] = s[0];
        d_weights[into + 1u] = s[1];
        d_weights[into + 2u] = s[2];
        d_weights[into + 3u] = s[3];
    }
    workgroupBarrier();
    gradients[local.x] = t;
    workgroupBarrier();
    if group.x == 0u && local.x < b.count {
        var sum = vec4(0.0);
        for (var i = 0u; i < 8u; i++) {
            sum += gradients[local.x * 8u + i];
        }
        d_bias[group.z * conv.out_quads + first + local.x] = sum;
    }
}
