// Quads from a buffer into a storage texture, and back: the ways into and out of the layers that keep theirs in textures.

struct Copy {
    quads: u32,
}

@group(0) @binding(0) var<uniform> copy: Copy;
@group(0) @binding(1) var<storage, read> packed_from: array<vec4<f32>>;
@group(0) @binding(2) var pack_into: texture_storage_2d<rgba32float, write>;
@group(0) @binding(3) var unpacked_from: texture_storage_2d<rgba32float, read>;
@group(0) @binding(4) var<storage, read_write> unpack_into: array<vec4<f32>>;

fn texel(i: u32) -> vec2<u32> {
    return vec2(i & 4095u, i >> 12u);
}

@compute @workgroup_size(64)
fn pack(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i < copy.quads {
        textureStore(pack_into, texel(i), packed_from[i]);
    }
}

@compute @workgroup_size(64)
fn unpack(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i < copy.quads {
        unpack_into[i] = textureLoad(unpacked_from, texel(i));
    }
}
