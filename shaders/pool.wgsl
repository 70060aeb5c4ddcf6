// Max and average pooling over windows of any size and stride, and over whole channels.
//
//   x  [images][quads][height][width] vec4          y  [images][quads][out_height][out_width] vec4
//   d_x, d_y  the same of rows; the gradient's row r belongs to row r % images of x
//
// Windows that reach over the edge have only the pixels that are there: none of the others wins, and the mean is over
// those. The gradients gather: a pixel asks all windows that cover it.

struct Pool {
    images: u32,
    rows: u32,
    height: u32,
    width: u32,
    out_height: u32,
    out_width: u32,
    quads: u32,
    size: u32,
    stride: u32,
    pad_top: u32,
    pad_left: u32,
}

struct GlobalAverage {
    images: u32,
    rows: u32,
    area: u32,
    quads: u32,
}

@group(0) @binding(0) var<uniform> pool: Pool;
@group(0) @binding(7) var<uniform> global_average: GlobalAverage;
@group(0) @binding(8) var<storage, read_write> means: array<vec4<f32>>;
@group(0) @binding(9) var<storage, read> d_means: array<vec4<f32>>;

// Pixels from low to below high.
struct Window {
    low: vec2<u32>,
    high: vec2<u32>,
}

// Sides are (height, width) throughout.
fn sides() -> vec2<u32> {
    return vec2(pool.height, pool.width);
}

fn padding() -> vec2<u32> {
    return vec2(pool.pad_top, pool.pad_left);
}

fn window_of(out: vec2<u32>) -> Window {
    let start = out * pool.stride;
    return Window(max(start, padding()) - padding(), min(start + pool.size - padding(), sides()));
}

// The windows, from low to below high, that cover a pixel.
fn windows_over(pixel: vec2<u32>) -> Window {
    let at = pixel + padding();
    let low = (max(at + 1u, vec2(pool.size)) - pool.size + pool.stride - 1u) / pool.stride;
    return Window(low, min(at / pool.stride + 1u, vec2(pool.out_height, pool.out_width)));
}

// Which plane, and which of its pixels, the element i of planes of these sides is.
struct Element {
    plane: u32,
    pixel: vec2<u32>,
}

fn element(i: u32, size: vec2<u32>) -> Element {
    let line = i / size.y;
    return Element(line / size.x, vec2(line % size.x, i % size.y));
}

fn index(plane: u32, pixel: vec2<u32>) -> u32 {
    return (plane * pool.height + pixel.x) * pool.width + pixel.y;
}

fn out_index(plane: u32, out: vec2<u32>) -> u32 {
    return (plane * pool.out_height + out.x) * pool.out_width + out.y;
}

fn out_elements(planes: u32) -> u32 {
    return planes * pool.out_height * pool.out_width;
}

@compute @workgroup_size(64)
fn max_forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= out_elements(pool.images * pool.quads) {
        return;
    }
    let mine = element(i, vec2(pool.out_height, pool.out_width));
    let window = window_of(mine.pixel);
    var most = x_at(index(mine.plane, window.low));
    for (var row = window.low.x; row < window.high.x; row++) {
        for (var column = window.low.y; column < window.high.y; column++) {
            most = max(most, x_at(index(mine.plane, vec2(row, column))));
        }
    }
    set_y(i, most);
}

// Whether a pixel's value wins a window: the first of equal ones does.
fn wins(plane: u32, pixel: vec2<u32>, value: vec4<f32>, window: Window) -> vec4<bool> {
    var won = vec4(true);
    let mine = index(plane, pixel);
    for (var row = window.low.x; row < window.high.x; row++) {
        for (var column = window.low.y; column < window.high.y; column++) {
            let at = index(plane, vec2(row, column));
            let other = x_at(at);
            won &= (value > other) | ((value == other) & vec4(mine <= at));
        }
    }
    return won;
}

@compute @workgroup_size(64)
fn max_backward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= pool.rows * pool.quads * pool.height * pool.width {
        return;
    }
    let mine = element(i, sides());
    let plane = mine.plane % (pool.images * pool.quads);
    let value = x_at(index(plane, mine.pixel));
    let windows = windows_over(mine.pixel);
    var sum = vec4(0.0);
    for (var row = windows.low.x; row < windows.high.x; row++) {
        for (var column = windows.low.y; column < windows.high.y; column++) {
            let out = vec2(row, column);
            let won = wins(plane, mine.pixel, value, window_of(out));
            sum += select(vec4(0.0), d_y_at(out_index(mine.plane, out)), won);
        }
    }
    set_d_x(i, sum);
}

fn pixels_in(window: Window) -> f32 {
    let size = window.high - window.low;
    return f32(size.x * size.y);
}

@compute @workgroup_size(64)
fn average_forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= out_elements(pool.images * pool.quads) {
        return;
    }
    let mine = element(i, vec2(pool.out_height, pool.out_width));
    let window = window_of(mine.pixel);
    var sum = vec4(0.0);
    for (var row = window.low.x; row < window.high.x; row++) {
        for (var column = window.low.y; column < window.high.y; column++) {
            sum += x_at(index(mine.plane, vec2(row, column)));
        }
    }
    set_y(i, sum / pixels_in(window));
}

@compute @workgroup_size(64)
fn average_backward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= pool.rows * pool.quads * pool.height * pool.width {
        return;
    }
    let mine = element(i, sides());
    let windows = windows_over(mine.pixel);
    var sum = vec4(0.0);
    for (var row = windows.low.x; row < windows.high.x; row++) {
        for (var column = windows.low.y; column < windows.high.y; column++) {
            let out = vec2(row, column);
            sum += d_y_at(out_index(mine.plane, out)) / pixels_in(window_of(out));
        }
    }
    set_d_x(i, sum);
}

// ---- the mean of a whole channel, into the rows that dense layers read ----

// Four pixels a turn: a quarter of the turns and of the chain of additions.
@compute @workgroup_size(64)
fn global_average_forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= global_average.images * global_average.quads {
        return;
    }
    let start = i * global_average.area;
    let end = start + global_average.area;
    var sum = vec4(0.0);
    var at = start;
    for (; at + 3u < end; at += 4u) {
        sum += (x_at(at) + x_at(at + 1u)) + (x_at(at + 2u) + x_at(at + 3u));
    }
    for (; at < end; at++) {
        sum += x_at(at);
    }
    means[i] = sum / f32(global_average.area);
}

@compute @workgroup_size(64)
fn global_average_backward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i < global_average.rows * global_average.quads * global_average.area {
        set_d_x(i, d_means[i / global_average.area] / f32(global_average.area));
    }
}
