// The body for software adapters with subgroups of 8. A load whose address differs between lanes costs ten times a
// broadcast, so the lanes load eight different vectors and share them; each lane owns two neighbouring pool windows
// (2x4 pixels) of 16 channels. Pairs of windows are numbered through all images, so that any size fills the lanes.

// 16 channels of 2x4 pixels, row by row.
struct Pixels {
    a: mat4x4<f32>, b: mat4x4<f32>, c: mat4x4<f32>, d: mat4x4<f32>,
    e: mat4x4<f32>, f: mat4x4<f32>, g: mat4x4<f32>, h: mat4x4<f32>,
}

// Where a lane's pair of windows lies.
struct Pair { image: u32, row: u32, column: u32 }

fn pair(index: u32, rows: u32, columns: u32) -> Pair {
    let pairs = (columns + 1u) / 2u;
    return Pair(index / (rows * pairs), index / pairs % rows, index % pairs * 2u);
}

fn forward_tap(
    p: Pixels, a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>,
    e: vec4<f32>, f: vec4<f32>, g: vec4<f32>, h: vec4<f32>, low: u32, high: u32,
) -> Pixels {
    let w0 = weights_at(low);
    let w1 = weights_at(high);
    var s = p;
    let m0 = four(w0);
    s.a[0] += a * m0; s.b[0] += b * m0; s.c[0] += c * m0; s.d[0] += d * m0;
    s.e[0] += e * m0; s.f[0] += f * m0; s.g[0] += g * m0; s.h[0] += h * m0;
    let m1 = next_four(w0);
    s.a[1] += a * m1; s.b[1] += b * m1; s.c[1] += c * m1; s.d[1] += d * m1;
    s.e[1] += e * m1; s.f[1] += f * m1; s.g[1] += g * m1; s.h[1] += h * m1;
    let m2 = four(w1);
    s.a[2] += a * m2; s.b[2] += b * m2; s.c[2] += c * m2; s.d[2] += d * m2;
    s.e[2] += e * m2; s.f[2] += f * m2; s.g[2] += g * m2; s.h[2] += h * m2;
    let m3 = next_four(w1);
    s.a[3] += a * m3; s.b[3] += b * m3; s.c[3] += c * m3; s.d[3] += d * m3;
    s.e[3] += e * m3; s.f[3] += f * m3; s.g[3] += g * m3; s.h[3] += h * m3;
    return s;
}

fn six(at: u32, last: u32) -> Six {
    // The last two columns lie outside when the row ends with half a pair.
    return Six(x_at(at), x_at(at + 1u), x_at(at + 2u), x_at(at + 3u), x_at(min(at + 4u, last)), x_at(min(at + 5u, last)));
}

fn forward_row(p: Pixels, u: Six, v: Six, low: u32, high: u32, pitch: u32) -> Pixels {
    var s = forward_tap(p, u.a, u.b, u.c, u.d, v.a, v.b, v.c, v.d, low, high);
    s = forward_tap(s, u.b, u.c, u.d, u.e, v.b, v.c, v.d, v.e, low + pitch, high + pitch);
    return forward_tap(s, u.c, u.d, u.e, u.f, v.c, v.d, v.e, v.f, low + 2u * pitch, high + 2u * pitch);
}

// Grid: (pairs of windows of all images / 8, over x and y; out_quads/4), rounded up.
@compute @workgroup_size(8)
fn forward(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let lane = local.x & 7u;
    let rows = conv.height / 2u;
    let columns = conv.width / 2u;
    let p = pair(id.x + id.y * groups.x * 8u, rows, columns);
    let image = min(p.image, conv.images - 1u);
    let first = id.z * 4u;
    let outputs = conv.out_quads * 4u;
    var low = min(first * 4u + lane, outputs - 1u);
    var high = min(first * 4u + 8u + lane, outputs - 1u);
    let pitch = conv.width + 2u;
    let plane = (conv.height + 2u) * pitch;
    var at = image * conv.in_quads * plane + p.row * 2u * pitch + p.column * 2u;
    let room = pitch - 1u - p.column * 2u;
    var s = Pixels();
    for (var q = 0u; q < conv.in_quads; q++) {
        let r0 = six(at, at + room);
        let r1 = six(at + pitch, at + pitch + room);
        let r2 = six(at + 2u * pitch, at + 2u * pitch + room);
        let r3 = six(at + 3u * pitch, at + 3u * pitch + room);
        s = forward_row(s, r0, r1, low, high, outputs);
        s = forward_row(s, r1, r2, low + 3u * outputs, high + 3u * outputs, outputs);
        s = forward_row(s, r2, r3, low + 6u * outputs, high + 6u * outputs, outputs);
        at += plane;
        low += 9u * outputs;
        high += 9u * outputs;
    }
    if p.image >= conv.images {
        return;
    }
    for (var o = 0u; o < min(4u, conv.out_quads - first); o++) {
        pool(pick(s.a, o), pick(s.b, o), pick(s.e, o), pick(s.f, o), image, first + o, p.row, p.column);
        if p.column + 1u < columns {
            pool(pick(s.c, o), pick(s.d, o), pick(s.g, o), pick(s.h, o), image, first + o, p.row, p.column + 1u);
        }
    }
}

fn backward_tap(
    p: Pixels, a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>,
    e: vec4<f32>, f: vec4<f32>, g: vec4<f32>, h: vec4<f32>, low: u32, high: u32,
) -> Pixels {
    let w0 = weights_at(low);
    let w1 = weights_at(high);
    var s = p;
    let m0 = four(w0);
    s.a[0] += m0 * a; s.b[0] += m0 * b; s.c[0] += m0 * c; s.d[0] += m0 * d;
    s.e[0] += m0 * e; s.f[0] += m0 * f; s.g[0] += m0 * g; s.h[0] += m0 * h;
    let m1 = next_four(w0);
    s.a[1] += m1 * a; s.b[1] += m1 * b; s.c[1] += m1 * c; s.d[1] += m1 * d;
    s.e[1] += m1 * e; s.f[1] += m1 * f; s.g[1] += m1 * g; s.h[1] += m1 * h;
    let m2 = four(w1);
    s.a[2] += m2 * a; s.b[2] += m2 * b; s.c[2] += m2 * c; s.d[2] += m2 * d;
    s.e[2] += m2 * e; s.f[2] += m2 * f; s.g[2] += m2 * g; s.h[2] += m2 * h;
    let m3 = next_four(w1);
    s.a[3] += m3 * a; s.b[3] += m3 * b; s.c[3] += m3 * c; s.d[3] += m3 * d;
    s.e[3] += m3 * e; s.f[3] += m3 * f; s.g[3] += m3 * g; s.h[3] += m3 * h;
    return s;
}

// One row of taps: the weights are walked backwards, that is, turned by 180 degrees.
fn backward_row(p: Pixels, u: Six, v: Six, low: u32, high: u32, pitch: u32) -> Pixels {
    var s = backward_tap(p, u.a, u.b, u.c, u.d, v.a, v.b, v.c, v.d, low + 2u * pitch, high + 2u * pitch);
    s = backward_tap(s, u.b, u.c, u.d, u.e, v.b, v.c, v.d, v.e, low + pitch, high + pitch);
    return backward_tap(s, u.c, u.d, u.e, u.f, v.c, v.d, v.e, v.f, low, high);
}

// Grid: (pairs of 2x2 windows of d_x, of all rows / 8, over x and y; in_quads/4), rounded up; odd sides count half windows too.
@compute @workgroup_size(8)
fn backward_data(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let lane = local.x & 7u;
    let p = pair(id.x + id.y * groups.x * 8u, (conv.height + 1u) / 2u, (conv.width + 1u) / 2u);
    let gradient = min(p.image, conv.rows - 1u);
    let row = i32(p.row);
    let column = i32(p.column);
    let first = id.z * 4u;
    let outputs = conv.out_quads * 4u;
    // Eight lanes hold four output channels of two input quads.
    let mine = first + (lane >> 2u);
    var low = min(mine, conv.in_quads - 1u) * 9u * outputs + (lane & 3u);
    var high = min(mine + 2u, conv.in_quads - 1u) * 9u * outputs + (lane & 3u);
    var s = Pixels();
    var at = planes(gradient);
    for (var q = 0u; q < conv.out_quads; q++) {
        let a0 = pooled(at, row - 1, column - 1);
        let a1 = pooled(at, row - 1, column);
        let a2 = pooled(at, row - 1, column + 1);
        let a3 = pooled(at, row - 1, column + 2);
        let b0 = pooled(at, row, column - 1);
        let b1 = pooled(at, row, column);
        let b2 = pooled(at, row, column + 1);
        let b3 = pooled(at, row, column + 2);
        let c0 = pooled(at, row + 1, column - 1);
        let c1 = pooled(at, row + 1, column);
        let c2 = pooled(at, row + 1, column + 1);
        let c3 = pooled(at, row + 1, column + 2);
        let r0 = lower(a0, a1, a2, a3);
        let r1 = upper(b0, b1, b2, b3);
        let r2 = lower(b0, b1, b2, b3);
        let r3 = upper(c0, c1, c2, c3);
        s = backward_row(s, r0, r1, low + 6u * outputs, high + 6u * outputs, outputs);
        s = backward_row(s, r1, r2, low + 3u * outputs, high + 3u * outputs, outputs);
        s = backward_row(s, r2, r3, low, high, outputs);
        low += 4u;
        at = next_plane(at);
        high += 4u;
    }
    if p.image >= conv.rows {
        return;
    }
    for (var i = 0u; i < min(4u, conv.in_quads - first); i++) {
        let plane = gradient * conv.in_quads + first + i;
        let top = p.row * 2u;
        let left = p.column * 2u;
        store(pick(s.a, i), plane, top, left);
        store(pick(s.b, i), plane, top, left + 1u);
        store(pick(s.c, i), plane, top, left + 2u);
        store(pick(s.d, i), plane, top, left + 3u);
        store(pick(s.e, i), plane, top + 1u, left);
        store(pick(s.f, i), plane, top + 1u, left + 1u);
        store(pick(s.g, i), plane, top + 1u, left + 2u);
        store(pick(s.h, i), plane, top + 1u, left + 3u);
    }
}

// The lanes load the upper and the lower rows; those in the middle are the others' halves.
fn lane_field(w: Window, lane: u32) -> Field {
    let pitch = conv.width + 2u;
    let at = w.x + (lane >> 2u) * pitch + (lane & 3u);
    let upper = x_at(at);
    let lower = x_at(at + 2u * pitch);
    return Field(upper, subgroupShuffle(select(lower, upper, lane >= 4u), lane ^ 4u), lower);
}

// The window that follows; the same again where that counts for nothing.
fn next_counted(w: Window, counted: bool) -> Window {
    let n = next_window(w);
    return Window(
        select(w.row, n.row, counted), select(w.column, n.column, counted),
        select(w.d_y, n.d_y, counted), select(w.x, n.x, counted),
    );
}

// A lane owns one output quad.
// Grid: (in_quads, out_quads/8, chunks), rounded up: threads take up workgroups in order, so that one stays with a chunk.
@compute @workgroup_size(8)
fn backward_weights(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
    let lane = local.x & 7u;
    let chunk = group.z;
    let out_quad = group.y * 8u + lane;
    let end = min((chunk + 1u) * conv.chunk, conv.images * (conv.height / 2u) * (conv.width / 2u));
    var taps = Taps();
    var a = window_of(chunk * conv.chunk, group.x, min(out_quad, conv.out_quads - 1u));
    for (var window = chunk * conv.chunk; window < end; window += 4u) {
        let b = next_counted(a, window + 1u < end);
        let c = next_counted(b, window + 2u < end);
        let d = next_counted(c, window + 3u < end);
        taps = add_windows(
            taps, lane_field(a, lane), window_gradient(a, true), lane_field(b, lane), window_gradient(b, window + 1u < end),
        );
        taps = add_windows(
            taps, lane_field(c, lane), window_gradient(c, window + 2u < end),
            lane_field(d, lane), window_gradient(d, window + 3u < end),
        );
        a = next_window(d);
    }
    if out_quad < conv.out_quads {
        store_taps(taps, chunk, group.x, out_quad);
    }
}
