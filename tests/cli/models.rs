//! Networks by name and from files.

use super::*;

#[test]
fn networks_are_shown_without_a_device() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let root = root.path();
    let printed = succeed(root, &["model"]);
    for name in ["reference", "bugnet", "resnet-small", "separable-small"] {
        assert!(printed.contains(name), "{printed}");
    }
    let printed = succeed(root, &["model", "resnet-small", "--image-size", "32"]);
    let table: Vec<&str> = printed.lines().skip(2).take_while(|line| !line.is_empty()).collect();
    let ends = |line: &&str| line.ends_with(|c: char| c.is_ascii_digit() || c == '─' || c == 's');
    let width = table.iter().map(|line| line.chars().count()).max().expect("lines");
    let aligned = table.iter().filter(|line| line.chars().count() == width && ends(line)).count();
    assert!(table[0].starts_with("layer") && table.last().expect("lines").starts_with("total"), "{printed}");
    assert!(aligned >= 8, "{aligned} lines end in the last column:\n{printed}");
    let json: serde_json::Value =
        serde_json::from_str(&succeed(root, &["model", "reference", "--json"])).expect("JSON");
    // Keras's summary() of the same network at 64 × 64.
    assert_eq!(json["learned_parameters"], 2_191_427);
    assert_eq!(json["layers"][2]["output"], serde_json::json!([32, 32, 32]));

    std::fs::write(root.join("mine.toml"), "layers = [\n  { layer = 'conv', filter = 4 },\n  { layer = 'softmax' }\n]")
        .expect("written");
    let message = fail(root, &["model", "mine.toml"]);
    assert!(
        message.contains("mine.toml, line 2: layer 1: unknown key `filter`, expected one of `filters`"),
        "{message}"
    );
    let message = fail(root, &["model", "resnet"]);
    assert!(message.contains("resnet: there is no such file, and the built-in networks are reference, "), "{message}");
    let message = fail(root, &["train", "--model", "mine.toml"]);
    assert!(message.contains("mine.toml, line 2"), "said before anything is drawn or opened: {message}");
    assert!(!root.join("data").exists() && !root.join("runs").exists());
}

#[test]
fn every_built_in_network_and_a_file_are_trained_and_explained() {
    if no_adapter() {
        return;
    }
    let root = pictures();
    let root = root.path();
    std::fs::write(
        root.join("mine.toml"),
        "name = 'mine'\n[[layers]]\nlayer = 'conv'\nfilters = 6\nkernel = 5\nstride = 2\n[[layers]]\nlayer = 'gelu'\n\
         [[layers]]\nlayer = 'global_average_pool'\n[[layers]]\nlayer = 'softmax'\n",
    )
    .expect("written");
    for model in ["bugnet", "resnet-small", "separable-small", "mine.toml"] {
        let name = model.trim_end_matches(".toml");
        let printed = train(root, name, &["--model", model, "--epochs", "1"]);
        assert!(printed.contains(&format!("network  {name}: ")), "{printed}");
        let settings = std::fs::read_to_string(root.join(name).join("settings.toml")).expect("read");
        assert!(settings.contains(&format!("model = \"{name}\"")), "{settings}");
        assert!(succeed(root, &["evaluate", name]).contains("confusion matrix"));
        let picture = "set/test/light/test 1é.png";
        let printed = succeed(root, &["predict", name, picture, "--samples", "8", "--out", name]);
        assert!(printed.contains("light") && root.join(name).join("test 1é_shap.png").exists(), "{printed}");
    }
    // The file is of no more use: the run has its layers.
    std::fs::remove_file(root.join("mine.toml")).expect("removed");
    succeed(root, &["train", "--resume", "mine", "--epochs", "2", "--no-report"]);
    let message = fail(root, &["train", "--resume", "mine", "--model", "bugnet"]);
    assert!(message.contains("--model"), "{message}");
}

#[test]
fn a_bench_holds_every_kernel_against_the_roof_that_it_measured() {
    if no_adapter() {
        return;
    }
    let root = tempfile::tempdir().expect("a temporary folder");
    let root = root.path();
    let small = ["bench", "--model", "bugnet", "--image-size", "16", "--batch-size", "2", "--repeats", "1"];
    let json: serde_json::Value =
        serde_json::from_str(&succeed(root, &[&small[..], &["--json"]].concat())).expect("JSON");
    let roof = &json["roof"];
    let of_roof = |name: &str| roof[name].as_f64().expect("a number");
    let plans = json["plans"].as_array().expect("plans");
    let kernels: Vec<_> = plans.iter().flat_map(|plan| plan["kernels"].as_array().expect("kernels")).collect();
    assert!(plans.len() == 3 && kernels.len() > 30, "{json:#}");
    for kernel in kernels {
        let number = |name: &str| kernel[name].as_f64().expect("a number");
        let operations = 2.0 * number("multiply_adds") / of_roof("operations_per_second");
        let bytes = number("bytes") / of_roof("bytes_per_second");
        let share = operations.max(bytes) / number("seconds");
        assert!((number("share_of_roof") / share - 1.0).abs() < 1e-6, "{kernel:#}");
        assert_eq!(kernel["bound"], if operations > bytes { "arithmetic" } else { "memory" }, "{kernel:#}");
    }
    let printed = succeed(root, &[&small[..], &["--steps-only"]].concat());
    assert!(!printed.contains("Roof") && printed.contains("training step of 2 at 16 × 16"), "{printed}");
}
