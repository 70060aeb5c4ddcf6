//! Files that others have made: every input in `fuzz/corpus` is survived by its parser, seeds as well as what fuzzing has
//! found; a few bombs are held to the bounds that the parsers state.

#[path = "../fuzz/parsers.rs"]
mod parsers;

use std::path::Path;

use glowworm::commands::Settings;
use glowworm::data::read_picture;
use glowworm::model::ModelFile;

fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let entries = folder.read_dir().expect("it is there").map(|entry| entry.expect("it can be read").path());
    entries.map(|path| (path.display().to_string(), std::fs::read(path).expect("read"))).collect()
}

#[test]
fn every_input_that_is_kept_is_survived() {
    type Parse = fn(&[u8]);
    let targets: [(&str, Parse); 6] = [
        ("picture", parsers::picture),
        ("settings", parsers::settings),
        ("architecture", parsers::architecture),
        ("weights", parsers::weights),
        ("checkpoint", parsers::checkpoint),
        ("run_files", parsers::run_files),
    ];
    for (target, parse) in targets {
        let inputs = corpus(target);
        assert!(!inputs.is_empty(), "{target} has no inputs");
        for (name, bytes) in inputs {
            println!("{name}");
            parse(&bytes);
        }
    }
}

/// The seeds are what they should be: whole files that the parsers take.
#[test]
fn the_seeds_are_read() {
    let seed = |target: &str, name: &str| {
        std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target).join(name)).expect("read")
    };
    for name in ["seed.bmp", "seed.gif", "seed.jpg", "seed.png", "seed.tiff", "seed.webp"] {
        let picture = read_picture(std::io::Cursor::new(seed("picture", name))).expect(name);
        assert_eq!(picture.dimensions(), (5, 4), "{name}");
    }
    Settings::parse(&String::from_utf8(seed("settings", "seed.toml")).expect("text")).expect("settings");
    ModelFile::of_bytes(&seed("weights", "seed.safetensors")).expect("a model");
    glowworm::training::Checkpoint::of_bytes(&seed("checkpoint", "seed.safetensors"), &parsers::spec())
        .expect("a checkpoint");
}

/// A model whose header says `about`, without tensors.
fn model(about: &str) -> Vec<u8> {
    let header = serde_json::json!({ "__metadata__": { "glowworm": about } }).to_string();
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat()
}

#[test]
fn models_that_claim_too_much_or_bear_dangerous_names_are_refused() {
    let huge = [&(1u64 << 63).to_le_bytes()[..], b"{}"].concat();
    assert!(ModelFile::of_bytes(&huge).is_err());
    let about = |network: &str, class: &str| {
        let layers = r#"[{"layer":"conv_relu_pool","filters":1},{"layer":"flatten"},{"layer":"softmax"}]"#;
        let class = serde_json::to_string(class).expect("a string");
        model(&format!(
            r#"{{"format":1,"layout":"","classes":["a",{class}],"network":{{{network},"classes":2,"layers":{layers}}}}}"#
        ))
    };
    let small = r#""height":2,"width":2"#;
    let error = ModelFile::of_bytes(&about(small, "b")).err().expect("it has no tensors");
    assert!(error.contains("missing"), "{error}");
    for class in ["../../x", "/etc/passwd", "a\0b", "\u{1b}]0;x\u{7}", "..", ""] {
        let error = ModelFile::of_bytes(&about(small, class)).err().expect(class);
        assert!(error.contains("it calls a class") && !error.contains(['\u{1b}', '\0']), "{error:?}");
    }
    let error = ModelFile::of_bytes(&about(r#""height":4294967295,"width":4294967295"#, "b")).err().expect("too large");
    assert!(error.contains("sides go from 1 to 4096"), "{error}");
    let deep = "[".repeat(1 << 20);
    assert!(ModelFile::of_bytes(&model(&deep)).is_err() && Settings::parse(&deep).is_err());
}
