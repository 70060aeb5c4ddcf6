// Zeros the border of 1 around planes of quads, where other values have lain in their memory.
//
//   y  [planes][height + 2][width + 2] vec4; all but the border stays

struct Border {
    planes: u32,
    height: u32,     // without the border
    width: u32,
}

@group(0) @binding(0) var<uniform> border: Border;

@compute @workgroup_size(64)
fn clear(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    let lines = vec2(border.height, border.width) + 2u;
    // The first and the last row, then the two ends of those between.
    let rows = 2u * lines.y;
    let each = rows + 2u * border.height;
    let plane = i / each;
    let at = i % each;
    if plane >= border.planes {
        return;
    }
    let between = at - rows;
    let inside = vec2(1u + between / 2u, between % 2u * (lines.y - 1u));
    let outside = vec2(at / lines.y * (lines.x - 1u), at % lines.y);
    let place = select(inside, outside, at < rows);
    set_y((plane * lines.x + place.x) * lines.y + place.y, vec4(0.0));
}
