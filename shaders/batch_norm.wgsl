// Batch normalisation, the sum with a skip and the activation function behind them:
//
//   y = f(z + skip),  z = scale * (x - mean) / sqrt(variance + epsilon) + offset
//
// with the batch's own mean and variance in training and the running ones otherwise (S. Ioffe, C. Szegedy, "Batch
// Normalization", 2015). The gradients find z + skip again from x: reads are cheap, and what is not stored takes no memory.
//
//   x, skip, y  [images][quads][area] vec4      d_y, d_x, d_skip  [rows][quads][area] vec4
//   scale, offset, running mean and variance, d_scale, d_offset  [quads] vec4
//   statistics  [2][quads] vec4: the batch's mean, 1 / sqrt(variance + epsilon)
//   partial     [quads][chunks + chunks / GROUP, rounded up][3] vec4
//
// Sums over a batch have three steps: chunks, whose places are interleaved, so that neighbours read neighbours; groups of
// chunks; and all groups. No loop is long, and nothing waits for anything within a dispatch.

struct BatchNorm {
    images: u32,
    rows: u32,
    area: u32,
    quads: u32,
    chunks: u32,
    function: u32,
    epsilon: f32,
    momentum: f32,
}

struct Step {
    seed: u32,
    step: u32,
    count: u32,     // images that are there: a batch may be short
    rate: f32,
    first: u32,
    whole: u32,
    decay: f32,
    average: f32,
}

@group(0) @binding(0) var<uniform> batch_norm: BatchNorm;
@group(0) @binding(7) var<uniform> step: Step;
@group(0) @binding(8) var<storage, read> scale: array<vec4<f32>>;
@group(0) @binding(9) var<storage, read> offset: array<vec4<f32>>;
@group(0) @binding(10) var<storage, read_write> mean: array<vec4<f32>>;
@group(0) @binding(11) var<storage, read_write> variance: array<vec4<f32>>;
@group(0) @binding(12) var<storage, read_write> statistics: array<vec4<f32>>;
@group(0) @binding(13) var<storage, read_write> partial_sums: array<vec4<f32>>;
@group(0) @binding(14) var<storage, read_write> d_scale: array<vec4<f32>>;
@group(0) @binding(15) var<storage, read_write> d_offset: array<vec4<f32>>;

const GROUP = 32u;          // chunks of a group
const ROWS = 8u;            // rows that one invocation goes through, with parameters that it reads once

fn images_there() -> u32 {
    return min(step.count, batch_norm.images);
}

// ---- z from x ----

struct Affine {
    mean: vec4<f32>,
    inverse: vec4<f32>,     // 1 / sqrt(variance + epsilon)
    scale: vec4<f32>,
    offset: vec4<f32>,
}

fn of_batch(q: u32) -> Affine {
    return Affine(statistics[q], statistics[batch_norm.quads + q], scale[q], offset[q]);
}

// The bound keeps a padding channel, whose variance is 0, finite whatever epsilon is.
fn inverse_deviation(squares: vec4<f32>) -> vec4<f32> {
    return inverseSqrt(max(squares + batch_norm.epsilon, vec4(1e-30)));
}

fn of_running(q: u32) -> Affine {
    return Affine(mean[q], inverse_deviation(variance[q]), scale[q], offset[q]);
}

fn normalised(map: Affine, value: vec4<f32>) -> vec4<f32> {
    return (value - map.mean) * map.inverse;
}

fn argument(map: Affine, value: vec4<f32>) -> vec4<f32> {
    return normalised(map, value) * map.scale + map.offset;
}

// ---- places of a chunk: every chunks-th of the images that are there ----

struct Place {
    image: u32,
    pixel: u32,
}

fn place(n: u32) -> Place {
    return Place(n / batch_norm.area, n % batch_norm.area);
}

fn moved(at: Place, by: Place) -> Place {
    let pixel = at.pixel + by.pixel;
    let over = select(0u, 1u, pixel >= batch_norm.area);
    return Place(at.image + by.image + over, pixel - over * batch_norm.area);
}

fn index(at: Place, q: u32) -> u32 {
    return (at.image * batch_norm.quads + q) * batch_norm.area + at.pixel;
}

fn group_count() -> u32 {
    return (batch_norm.chunks + GROUP - 1u) / GROUP;
}

// Where the partial sums of quad q begin whose number is n: the chunks, then their groups.
fn part(q: u32, n: u32) -> u32 {
    return (q * (batch_norm.chunks + group_count()) + n) * 3u;
}

// ---- mean and variance ----

struct Moments {
    count: f32,
    mean: vec4<f32>,
    squares: vec4<f32>,     // sum of the squared distances from the mean
}

fn set_moments(at: u32, m: Moments) {
    partial_sums[at] = vec4(m.count);
    partial_sums[at + 1u] = m.mean;
    partial_sums[at + 2u] = m.squares;
}

// T. Chan, G. Golub, R. LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances", 1979.
fn merged_moments(q: u32, first: u32, end: u32) -> Moments {
    var all = Moments(0.0, vec4(0.0), vec4(0.0));
    for (var n = first; n < end; n++) {
        let at = part(q, n);
        let count = partial_sums[at].x;
        if count > 0.0 {
            let total = all.count + count;
            let apart = partial_sums[at + 1u] - all.mean;
            all.mean += apart * (count / total);
            all.squares += partial_sums[at + 2u] + apart * apart * (all.count * count / total);
            all.count = total;
        }
    }
    return all;
}

// A chunk's sums are of distances from its first value: being one of them, it is never far off.
@compute @workgroup_size(64)
fn moments(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= batch_norm.quads * batch_norm.chunks {
        return;
    }
    let q = i / batch_norm.chunks;
    let chunk = i % batch_norm.chunks;
    let by = place(batch_norm.chunks);
    var at = place(chunk);
    var all = Moments(0.0, vec4(0.0), vec4(0.0));
    if at.image < images_there() {
        let origin = x_at(index(at, q));
        var sum = vec4(0.0);
        while at.image < images_there() {
            let apart = x_at(index(at, q)) - origin;
            sum += apart;
            all.squares += apart * apart;
            all.count += 1.0;
            at = moved(at, by);
        }
        let apart = sum / all.count;
        all.mean = origin + apart;
        all.squares = max(all.squares - sum * apart, vec4(0.0));
    }
    set_moments(part(q, chunk), all);
}

@compute @workgroup_size(64)
fn moments_of_groups(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i < batch_norm.quads * group_count() {
        let q = i / group_count();
        let group = i % group_count();
        let all = merged_moments(q, group * GROUP, min((group + 1u) * GROUP, batch_norm.chunks));
        set_moments(part(q, batch_norm.chunks + group), all);
    }
}

// The variance that normalises divides by the count, the one that is kept by the count - 1.
@compute @workgroup_size(64)
fn moments_of_batch(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let q = id.x + id.y * groups.x * 64u;
    if q >= batch_norm.quads {
        return;
    }
    let all = merged_moments(q, batch_norm.chunks, batch_norm.chunks + group_count());
    statistics[q] = all.mean;
    statistics[batch_norm.quads + q] = inverse_deviation(all.squares / max(all.count, 1.0));
    if all.count > 0.0 {
        mean[q] = mix(all.mean, mean[q], batch_norm.momentum);
        variance[q] = mix(all.squares / max(all.count - 1.0, 1.0), variance[q], batch_norm.momentum);
    }
}

// ---- element by element: an invocation has one place of a row, in ROWS rows ----

struct Work {
    quad: u32,
    place: u32,
    first: u32,
    end: u32,
}

fn row_size() -> u32 {
    return batch_norm.quads * batch_norm.area;
}

fn work(i: u32, rows: u32) -> Work {
    let place = i % row_size();
    let first = (i / row_size()) * ROWS;
    return Work(place / batch_norm.area, place, first, min(first + ROWS, rows));
}

fn forward(map: Affine, mine: Work) {
    for (var row = mine.first; row < mine.end; row++) {
        let i = row * row_size() + mine.place;
        set_y(i, activate(batch_norm.function, argument(map, x_at(i)) + skip_of(i)));
    }
}

@compute @workgroup_size(64)
fn train_forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let mine = work(id.x + id.y * groups.x * 64u, batch_norm.images);
    if mine.first < mine.end {
        forward(of_batch(mine.quad), mine);
    }
}

@compute @workgroup_size(64)
fn infer_forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let mine = work(id.x + id.y * groups.x * 64u, batch_norm.images);
    if mine.first < mine.end {
        forward(of_running(mine.quad), mine);
    }
}

// ---- gradients in training: d_offset = sum d_z, d_scale = sum d_z * normalised x, and with them, of n pixels,
//      d_x = scale / deviation * (d_z - d_offset / n - normalised x * d_scale / n) ----

// d_z, which is the gradient of the skip as well, of element i of x and element d of the gradient.
fn d_argument(map: Affine, i: u32, d: u32) -> vec4<f32> {
    return d_y_at(d) * slope(batch_norm.function, argument(map, x_at(i)) + skip_of(i));
}

struct Sums {
    d_z: vec4<f32>,
    product: vec4<f32>,     // d_z * normalised x
}

fn set_sums(at: u32, all: Sums) {
    partial_sums[at] = all.d_z;
    partial_sums[at + 1u] = all.product;
}

fn added_sums(q: u32, first: u32, end: u32) -> Sums {
    var all = Sums(vec4(0.0), vec4(0.0));
    for (var n = first; n < end; n++) {
        let at = part(q, n);
        all.d_z += partial_sums[at];
        all.product += partial_sums[at + 1u];
    }
    return all;
}

@compute @workgroup_size(64)
fn sums(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= batch_norm.quads * batch_norm.chunks {
        return;
    }
    let q = i / batch_norm.chunks;
    let chunk = i % batch_norm.chunks;
    let map = of_batch(q);
    let by = place(batch_norm.chunks);
    var all = Sums(vec4(0.0), vec4(0.0));
    for (var at = place(chunk); at.image < images_there(); at = moved(at, by)) {
        let element = index(at, q);
        let d_z = d_argument(map, element, element);
        all.d_z += d_z;
        all.product += d_z * normalised(map, x_at(element));
    }
    set_sums(part(q, chunk), all);
}

@compute @workgroup_size(64)
fn sums_of_groups(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i < batch_norm.quads * group_count() {
        let q = i / group_count();
        let group = i % group_count();
        let all = added_sums(q, group * GROUP, min((group + 1u) * GROUP, batch_norm.chunks));
        set_sums(part(q, batch_norm.chunks + group), all);
    }
}

@compute @workgroup_size(64)
fn sums_of_batch(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let q = id.x + id.y * groups.x * 64u;
    if q < batch_norm.quads {
        let all = added_sums(q, batch_norm.chunks, batch_norm.chunks + group_count());
        d_offset[q] = all.d_z;
        d_scale[q] = all.product;
    }
}

@compute @workgroup_size(64)
fn train_backward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let mine = work(id.x + id.y * groups.x * 64u, batch_norm.images);
    if mine.first >= mine.end {
        return;
    }
    let map = of_batch(mine.quad);
    let pixels = f32(max(images_there(), 1u)) * f32(batch_norm.area);
    let mean_d_z = d_offset[mine.quad] / pixels;
    let mean_product = d_scale[mine.quad] / pixels;
    for (var row = mine.first; row < mine.end; row++) {
        let i = row * row_size() + mine.place;
        let d_z = d_argument(map, i, i);
        let d_x = map.scale * map.inverse * (d_z - mean_d_z - normalised(map, x_at(i)) * mean_product);
        let is_there = row < images_there();
        set_d_skip_of(i, select(vec4(0.0), d_z, is_there));
        set_d_x(i, select(vec4(0.0), d_x, is_there));
    }
}

// ---- gradients with the running statistics, which are constants; row r belongs to image r % images ----

@compute @workgroup_size(64)
fn infer_backward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let mine = work(id.x + id.y * groups.x * 64u, batch_norm.rows);
    if mine.first >= mine.end {
        return;
    }
    let map = of_running(mine.quad);
    for (var row = mine.first; row < mine.end; row++) {
        let d = row * row_size() + mine.place;
        let d_z = d_argument(map, (row % batch_norm.images) * row_size() + mine.place, d);
        set_d_skip_of(d, d_z);
        set_d_x(d, map.scale * map.inverse * d_z);
    }
}
