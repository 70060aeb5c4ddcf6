//! report.html: that it is well formed, needs nothing else, escapes what it names, and has the right figures.

use base64::Engine;
use roxmltree::{Document, Node, ParsingOptions};

use super::*;

/// Names that would break a page that believes them.
const CLASS: &str = "a<b>&\"c'";
const FILE: &str = "x\"><img src=x onerror=alert(1)><script>&amp;.png";

fn nasty_pictures() -> TempDir {
    let root = pictures();
    for part in ["train", "test"] {
        let folder = root.path().join("set").join(part);
        std::fs::rename(folder.join("dark"), folder.join(CLASS)).expect("renamed");
    }
    let folder = root.path().join("set/test").join(CLASS);
    std::fs::rename(folder.join("test 0é.png"), folder.join(FILE)).expect("renamed");
    root
}

/// The page's text, as it is also XML: every element is closed, every attribute quoted.
fn parsed(page: &str) -> Document<'_> {
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    Document::parse_with_options(page, options).expect("the page is well formed")
}

fn texts(node: Node) -> String {
    node.descendants().filter(Node::is_text).filter_map(|n| n.text()).collect::<String>().replace('\u{a0}', " ")
}

fn elements<'a>(page: &'a Document, name: &'a str, class: &'a str) -> impl Iterator<Item = Node<'a, 'a>> {
    let named =
        move |n: &Node| n.has_tag_name(name) && n.attribute("class").unwrap_or("").split(' ').any(|c| c == class);
    page.descendants().filter(move |n| named(n) || class.is_empty() && n.has_tag_name(name))
}

/// Nothing is loaded, run or sent, whatever the names are.
fn assert_self_contained(page: &Document, text: &str) {
    for node in page.descendants() {
        for attribute in node.attributes() {
            let (name, value) = (attribute.name(), attribute.value());
            let inside = value.starts_with("data:") || value.starts_with('#');
            let loads = ["src", "href", "srcset", "action", "data", "poster", "formaction"].contains(&name);
            assert!(!loads || inside, "<{} {name}={value}>", node.tag_name().name());
            assert!(!name.starts_with("on"), "<{} {name}>", node.tag_name().name());
        }
        let forbidden = ["script", "iframe", "object", "embed", "form", "base", "video", "audio"];
        assert!(!forbidden.contains(&node.tag_name().name()), "<{}>", node.tag_name().name());
    }
    assert!(!text.contains("http://") && !text.contains("https://"));
    let style = elements(page, "style", "").map(texts).collect::<String>();
    assert!(!style.contains("url(") && !style.contains("@import"));
    let policy = page.descendants().find(|n| n.attribute("http-equiv") == Some("Content-Security-Policy"));
    assert!(policy.and_then(|n| n.attribute("content")).is_some_and(|c| c.starts_with("default-src 'none'")));
}

/// Every picture can be decoded, is as large as it says, and has words for those who cannot see it.
fn assert_pictures(page: &Document) -> usize {
    let mut count = 0;
    for image in elements(page, "img", "") {
        let attribute = |name: &str| image.attribute(name).unwrap_or_default();
        let (_, bytes) = attribute("src").split_once(";base64,").expect("its bytes");
        let bytes = base64::engine::general_purpose::STANDARD.decode(bytes).expect("base64");
        let picture = image::load_from_memory(&bytes).expect("a picture");
        assert_eq!(
            (attribute("width"), attribute("height")),
            (&*picture.width().to_string(), &*picture.height().to_string())
        );
        assert!(attribute("alt").len() > 10, "{}", attribute("alt"));
        count += 1;
    }
    assert!(elements(page, "svg", "").all(|svg| svg.attribute("aria-label").is_some_and(|label| label.len() > 10)));
    count
}

#[test]
fn the_report_is_one_well_formed_page_with_the_right_figures() {
    if no_adapter() {
        return;
    }
    let root = nasty_pictures();
    let root = root.path();
    let printed = succeed(root, &[&TINY[..], &["run", "--epochs", "2", "--background", "6"]].concat());
    assert!(printed.contains("report   run/report.html"), "{printed}");
    let path = root.join("run/report.html");
    let text = std::fs::read_to_string(&path).expect("read");
    let page = parsed(&text);
    assert_self_contained(&page, &text);
    // Ten test pictures, five of each class: all wrong ones (six at most) with two heatmaps, two right ones of each class
    // with one, and two mean maps.
    let shown = elements(&page, "article", "example").count();
    assert!(assert_pictures(&page) >= 2 * shown + 2 && shown >= 4, "{shown} pictures");

    let said: serde_json::Value = serde_json::from_str(&succeed(root, &["evaluate", "run", "--json"])).expect("JSON");
    let number = |value: &serde_json::Value| value.as_f64().expect("a number");
    let score = elements(&page, "p", "score").map(texts).next().expect("a score");
    let percent = |v: f64| format!("{:.1} %", 100.0 * v);
    let [low, high] = [0, 1].map(|i| percent(number(&said["accuracy_interval"][i])));
    for part in [percent(number(&said["accuracy"])), format!("{low} to {high}"), "10 pictures".to_owned()] {
        assert!(score.contains(&part), "{part} is not in {score}");
    }
    let classes = elements(&page, "table", "classes").map(texts).next().expect("a table");
    assert!(classes.contains(CLASS) && classes.contains("light"), "{classes}");
    for class in said["classes"].as_array().expect("classes") {
        for name in ["precision", "recall", "f1"] {
            let interval = &class[format!("{name}_interval")];
            let expected =
                format!("{:.3} ({:.2}–{:.2})", number(&class[name]), number(&interval[0]), number(&interval[1]));
            assert!(classes.contains(&expected), "{expected} is not in {classes}");
        }
    }
    let confusion = elements(&page, "table", "confusion").next().expect("a table");
    let cells = confusion.descendants().filter(|n| n.has_tag_name("td") && n.has_attribute("style")).map(texts);
    let expected = said["confusion"].as_array().expect("rows").iter().flat_map(|row| row.as_array().expect("a row"));
    assert!(cells.eq(expected.map(|n| n.to_string())), "the confusion matrix differs from evaluate's");

    // Each epoch's values stand under the pointer.
    let history = std::fs::read_to_string(root.join("run/history.csv")).expect("read");
    let last: Vec<f64> = history.lines().last().expect("a line").split(',').filter_map(|v| v.parse().ok()).collect();
    let marks: Vec<String> = elements(&page, "g", "mark").map(texts).collect();
    let expected = format!("epoch 2: training {}, test {}", percent(last[2]), percent(last[4]));
    assert!(marks.iter().any(|m| m.replace('\u{a0}', " ").trim() == expected), "{expected} is not in {marks:?}");
    let everything = texts(page.root());
    for part in
        ["peak memory", "training took", "40 to train, 10 to test", "Adam", "llvmpipe", "could as well have been"]
    {
        let adapter = part == "llvmpipe" && !printed.contains(part);
        assert!(adapter || everything.contains(part), "{part} is missing");
    }

    // The test pictures are copies of training pictures: the check says so, and the page does.
    let warning = elements(&page, "p", "warning").map(texts).next().unwrap_or_default();
    assert!(warning.contains("10 of the 10 test pictures stand among the training pictures"), "{warning}");
    let data = page.descendants().find(|n| n.attribute("id") == Some("data")).map(texts).unwrap_or_default();
    assert!(data.contains("Warning:") && data.contains("= test/"), "{data}");

    // Made again it has the same words; best says so.
    let again = succeed(root, &["report", "run"]);
    assert!(again.contains("run/report.html") && std::fs::read_to_string(&path).expect("read") == text);
    succeed(root, &["report", "run", "--best"]);
    assert!(std::fs::read_to_string(&path).expect("read").contains("flatters the score"));
    assert!(fail(root, &["report", "nowhere"]).contains("no such run folder"));
}

#[test]
fn training_can_be_watched_by_tensorboard_and_a_dashboard_needs_a_terminal() {
    if no_adapter() {
        return;
    }
    let root = pictures();
    let root = root.path();
    train(root, "run", &["--epochs", "2", "--tensorboard"]);
    for (part, tag, count) in [("train", "batch_loss", 12), ("train", "epoch_loss", 2), ("test", "epoch_accuracy", 2)] {
        let mut files = root.join("run/tensorboard").join(part).read_dir().expect("a folder");
        let file = files.next().expect("a file").expect("it can be read");
        assert!(file.file_name().to_string_lossy().contains("tfevents") && files.next().is_none());
        let bytes = std::fs::read(file.path()).expect("read");
        let found = bytes.windows(tag.len()).filter(|w| *w == tag.as_bytes()).count();
        assert_eq!(found, count, "{part}: {tag}");
    }
    let message = fail(root, &[&TINY[..], &["other", "--tui"]].concat());
    assert!(message.contains("--tui draws on a terminal") && !root.join("other").exists(), "{message}");
}
