//! The shaders as texts: all of them parse and are valid, and none is forgotten.

use std::path::{Path, PathBuf};

use glowworm::gpu::reflect;

fn wgsl_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in folder.read_dir().expect("the folder is there") {
        let path = entry.expect("it can be read").path();
        if path.is_dir() {
            files.extend(wgsl_files(&path));
        } else if path.extension().is_some_and(|e| e == "wgsl") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// A file in a folder is joined to what the folder's files share, which stands beside the folder: `conv/tiles.wgsl` to
/// `conv.wgsl`, `conv/lanes/direct.wgsl` to `conv.wgsl` and `conv/lanes.wgsl`. What is shared need not be whole by itself.
/// A text that reaches quads by names that it does not define is joined to either file of `quads`; one that applies
/// activation functions to `functions.wgsl`; one that uses the vectors of lanes, or Winograd's tiles, to those of `lanes`.
#[test]
fn every_shader_is_valid() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders");
    let read = |file: &Path| std::fs::read_to_string(file).expect("it can be read");
    let files = wgsl_files(&root);
    assert!(files.len() >= 10, "only {} shaders were found", files.len());
    let (quads, files): (Vec<_>, Vec<_>) = files.into_iter().partition(|file| file.starts_with(root.join("quads")));
    let quads: Vec<String> = quads.iter().map(|file| read(file)).collect();
    assert_eq!(quads.len(), 2);
    let shared =
        [("tile_place(", "lanes/winograd.wgsl"), ("next_four(", "lanes/vectors.wgsl"), ("activate(", "functions.wgsl")];
    let joined = |file: &PathBuf| file.with_extension("").is_dir() || file.starts_with(root.join("lanes"));
    for file in files.iter().filter(|file| !joined(file)) {
        let mut text = read(file);
        for folder in file.ancestors().skip(1).take_while(|folder| *folder != root) {
            text = read(&folder.with_extension("wgsl")) + "\n" + &text;
        }
        for (name, path) in shared {
            if text.contains(name) && !text.contains(&format!("fn {name}")) {
                text = read(&root.join(path)) + "\n" + &text;
            }
        }
        let reaches_quads = ["x_at(", "d_y_at(", "set_y(", "set_d_x("].iter().any(|name| text.contains(name));
        let texts = match reaches_quads && !text.contains("fn x_at(") {
            // What reaches texels beside the quads is for textures alone.
            true => quads
                .iter()
                .filter(|accessors| accessors.contains("fn texel(") || !text.contains("texel("))
                .map(|accessors| format!("{accessors}\n{text}"))
                .collect(),
            false => vec![text],
        };
        for text in texts {
            reflect(&text).unwrap_or_else(|message| panic!("{}: {message}", file.display()));
        }
    }
}

#[test]
fn bindings_are_read_with_their_names_access_and_members() {
    let text = "struct Size { rows: u32, scale: f32 }
        @group(0) @binding(0) var<uniform> size: Size;
        @group(0) @binding(1) var<storage, read> x: array<f32>;
        @group(0) @binding(2) var<storage, read_write> y: array<f32>;
        @group(0) @binding(3) var<storage, read_write> unused: array<f32>;
        @compute @workgroup_size(8, 2) fn main() { y[size.rows] = x[0] * size.scale; }";
    let entries = reflect(text).expect("it is valid");
    let (name, found) = &entries[0];
    assert_eq!((name.as_str(), found.workgroup_size), ("main", [8, 2, 1]));
    let names: Vec<(&str, bool)> = found.bindings.iter().map(|b| (b.name.as_str(), b.writable)).collect();
    assert_eq!(names, [("size", false), ("x", false), ("y", true)]);
    let members = vec![("rows".to_owned(), 0), ("scale".to_owned(), 4)];
    assert_eq!(found.bindings[0].uniform, Some(("Size".to_owned(), members)));
    assert!(reflect("fn main( {").is_err());
}
