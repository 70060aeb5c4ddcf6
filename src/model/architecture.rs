//! Networks in TOML files: those that are built in, and the user's own.

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::graph::{Graph, MOST_DEPTH, Misfit, Place};
use super::{Layer, ModelError, NetworkSpec};
use crate::files::read_text_at_most;
use crate::names::unfit_name;

/// The built-in networks, by their names.
const BUILT_IN: [(&str, &str); 4] = [
    ("reference", include_str!("../../networks/reference.toml")),
    ("bugnet", include_str!("../../networks/bugnet.toml")),
    ("resnet-small", include_str!("../../networks/resnet-small.toml")),
    ("separable-small", include_str!("../../networks/separable-small.toml")),
];

/// The largest network takes some 100 kilobytes.
const MOST_BYTES: u64 = 1 << 20;

/// The layers of a network, as a TOML file lists them, for pictures of any size and any number of classes.
#[derive(Clone, Debug)]
pub struct Architecture {
    /// What it is called: as the file says, or as the file itself is called.
    pub name: String,
    /// What it is, if the file says so.
    pub description: Option<String>,
    /// The layers, first to last.
    pub layers: Vec<Layer>,
    /// The name or the path that it was asked for by.
    file: String,
    text: Cow<'static, str>,
}

/// What is wrong with a file, and where.
#[derive(Debug)]
struct Fault {
    span: Option<Range<usize>>,
    reason: String,
}

impl Architecture {
    /// Names of the built-in networks.
    pub fn names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }

    /// The built-in network called `name`.
    ///
    /// # Errors
    /// [`ModelError::Description`] with the names that there are.
    pub fn builtin(name: &str) -> Result<Architecture, ModelError> {
        if let Some((_, text)) = BUILT_IN.iter().find(|(known, _)| *known == name) {
            return Architecture::parse(name, Cow::Borrowed(text));
        }
        let names: Vec<&str> = Architecture::names().collect();
        let reason = format!("there is no such file, and the built-in networks are {}", names.join(", "));
        Err(ModelError::Description { file: name.to_owned(), line: None, reason })
    }

    /// The built-in network called `model`, or else the one in the file at that path.
    ///
    /// # Errors
    /// [`ModelError::Description`] with the line of the file; if there is neither, with the names that there are.
    pub fn open(model: &str) -> Result<Architecture, ModelError> {
        let path = Path::new(model);
        if !path.exists() || Architecture::names().any(|name| name == model) {
            return Architecture::builtin(model);
        }
        let refuse = |reason: String| ModelError::Description { file: model.to_owned(), line: None, reason };
        let text = read_text_at_most(path, MOST_BYTES).map_err(|e| refuse(format!("it cannot be read: {e}")))?;
        Architecture::parse(model, Cow::Owned(text))
    }

    /// Reads the text of `file`.
    ///
    /// # Errors
    /// [`ModelError::Description`] with the line.
    pub fn parse(file: &str, text: Cow<'static, str>) -> Result<Architecture, ModelError> {
        let stem = Path::new(file).file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        let mut made = Architecture { name: stem, description: None, layers: Vec::new(), file: file.to_owned(), text };
        let text = made.text.clone();
        match made.read(&text) {
            Ok(()) => Ok(made),
            Err(fault) => Err(made.error(fault)),
        }
    }

    /// The network for pictures of this size.
    ///
    /// # Errors
    /// [`ModelError::Description`] with the line of the layer that cannot do its work.
    pub fn network(&self, height: u32, width: u32, classes: u32) -> Result<NetworkSpec, ModelError> {
        let spec = NetworkSpec { height, width, classes, layers: self.layers.clone() };
        match Graph::new(&spec) {
            Ok(_) => Ok(spec),
            Err(Misfit { place, reason }) => {
                let span = place.as_ref().and_then(|place| span_of(&self.text, place));
                Err(self.error(Fault { span, reason: said_of(place.as_ref(), &reason) }))
            }
        }
    }

    fn error(&self, fault: Fault) -> ModelError {
        let before = fault.span.and_then(|span| self.text.get(..span.start));
        let line = before.map(|before| 1 + before.matches('\n').count());
        ModelError::Description { file: self.file.clone(), line, reason: fault.reason }
    }

    fn read(&mut self, text: &str) -> Result<(), Fault> {
        let table = DeTable::parse(text).map_err(|e| Fault { span: e.span(), reason: e.message().to_owned() })?;
        for (key, value) in table.get_ref() {
            let fault = |reason: String| Err(Fault { span: Some(key.span()), reason });
            match (key.get_ref().as_ref(), value.get_ref()) {
                ("name", DeValue::String(name)) => match unfit_name(name) {
                    None => self.name = name.clone().into_owned(),
                    Some(reason) => return fault(format!("a name for the network: {reason}")),
                },
                ("description", DeValue::String(text)) => self.description = Some(text.clone().into_owned()),
                ("layers", DeValue::Array(list)) => {
                    let layers = list.iter().enumerate().map(|(i, value)| layer(value, &Place(vec![("layers", i)])));
                    self.layers = layers.collect::<Result<_, _>>()?;
                }
                (key @ ("name" | "description"), other) => {
                    let kind = other.type_str();
                    return fault(format!("{key} should be a text, but it is of type {kind}; write {key} = \"…\""));
                }
                ("layers", _) => return fault("the layers are tables; write [[layers]] above each".to_owned()),
                ("height" | "width" | "image_size" | "classes", _) => {
                    let text = "a network takes its size from --image-size, and its classes from the pictures' folders";
                    return fault(format!("{text}; leave {} out", key.get_ref()));
                }
                (other, _) => {
                    let text = format!("unknown key `{other}`, expected `name`, `description` or [[layers]]");
                    return fault(format!("{text}; keys of a layer stand below its [[layers]]"));
                }
            }
        }
        match self.layers.is_empty() {
            false => Ok(()),
            true => Err(Fault {
                span: None,
                reason: "it has no layers; write [[layers]] and below it layer = \"conv\", filters = 32".to_owned(),
            }),
        }
    }
}

fn said_of(place: Option<&Place>, reason: &str) -> String {
    place.map_or_else(|| reason.to_owned(), |place| format!("{place}: {reason}"))
}

/// Where in the text the layer at `place` stands.
fn span_of(text: &str, place: &Place) -> Option<Range<usize>> {
    let file = DeTable::parse(text).ok()?;
    let mut table = file.get_ref();
    let mut span = None;
    for (list, index) in &place.0 {
        let layer = table.get(*list)?.get_ref().as_array()?.get(*index)?;
        span = Some(layer.span());
        table = layer.get_ref().as_table()?;
    }
    span
}

/// One layer. Those inside it are read before it, so that what is wrong with one is said of its own line.
fn layer(value: &Spanned<DeValue>, place: &Place) -> Result<Layer, Fault> {
    let fault = |span: Range<usize>, reason: &str| Fault { span: Some(span), reason: said_of(Some(place), reason) };
    let DeValue::Table(table) = value.get_ref() else {
        let kind = value.get_ref().type_str();
        let text = format!("it should be a table, but is of type {kind}; write {{ layer = \"relu\" }}");
        return Err(fault(value.span(), &text));
    };
    if place.0.len() > MOST_DEPTH + 1 {
        let text = format!("residual blocks inside each other more than {MOST_DEPTH} deep");
        return Err(fault(value.span(), &text));
    }
    for name in ["body", "shortcut"] {
        let list = table.get(name).and_then(|list| list.get_ref().as_array());
        for (index, inner) in list.into_iter().flatten().enumerate() {
            layer(inner, &place.inside(name).at(index))?;
        }
    }
    let read = |table: &DeTable| {
        let value = Spanned::new(value.span(), DeValue::Table(table.clone()));
        Layer::deserialize(ValueDeserializer::from(value)).map_err(|error| error.message().to_owned())
    };
    let layer = read(table).map_err(|complaint| {
        // serde does not name the key of a value that has the wrong type: it is the one without which the complaint is
        // another.
        let blamed = |key: &str| {
            let mut without = table.clone();
            without.remove(key);
            read(&without).err().as_ref() != Some(&complaint)
        };
        let (kind, others): (Vec<_>, Vec<_>) = table.iter().partition(|(key, _)| key.get_ref() == "layer");
        let culprit = others.iter().chain(&kind).find(|(key, _)| blamed(key.get_ref()));
        let key = culprit.map_or("layer", |(key, _)| key.get_ref().as_ref());
        fault(culprit.map_or(value.span(), |(key, _)| key.span()), &in_words(&complaint, key))
    })?;
    // What serde lets pass.
    let bare = matches!(
        layer,
        Layer::Relu | Layer::Gelu | Layer::Silu | Layer::GlobalAveragePool | Layer::Flatten | Layer::Softmax
    );
    match table.iter().find(|(key, _)| bare && key.get_ref() != "layer") {
        None => Ok(layer),
        Some((key, _)) => {
            Err(fault(key.span(), &format!("unknown key `{}`: this layer has none but `layer`", key.get_ref())))
        }
    }
}

/// serde's complaint in words of these files.
fn in_words(complaint: &str, key: &str) -> String {
    let missing = complaint.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'));
    if let Some(missing) = missing {
        let example = match missing {
            "layer" => "\"conv\"",
            "filters" => "32",
            "units" => "128",
            "rate" => "0.2",
            _ => "[{ layer = \"conv\", filters = 32 }]",
        };
        return format!("`{missing}` is missing; write {missing} = {example}, for example");
    }
    let mut text = complaint.replace("unknown field", "unknown key");
    for (theirs, ours) in [("u32", "a whole number"), ("f32", "a number"), ("a sequence", "a list of layers")] {
        text = text.replace(&format!("expected {theirs}"), &format!("expected {ours}"));
    }
    match key {
        "layer" => text.replace("unknown variant", "unknown layer"),
        _ if text.starts_with("unknown key") => text,
        _ => format!("{key}: {}", text.replace("unknown variant", "unknown value")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(text: &str) -> Result<NetworkSpec, String> {
        let architecture = Architecture::parse("a/b.toml", Cow::Owned(text.to_owned())).map_err(|e| e.to_string())?;
        architecture.network(16, 16, 3).map_err(|e| e.to_string())
    }

    #[test]
    fn the_built_in_networks_are_networks_at_every_size() {
        for name in Architecture::names() {
            let architecture = Architecture::builtin(name).expect(name);
            assert!(architecture.name == name && architecture.description.is_some());
            for side in [16, 17, 30, 64, 101, 224] {
                architecture.network(side, side, 5).unwrap_or_else(|error| panic!("{name} at {side}: {error}"));
            }
        }
        let reference = NetworkSpec::builtin("reference", 64, 64, 3).expect("it is built in");
        assert_eq!(reference, NetworkSpec::reference(64, 64, 3));
        let error = Architecture::open("resnet-smal").expect_err("there is none").to_string();
        assert_eq!(
            error,
            "resnet-smal: there is no such file, and the built-in networks are reference, bugnet, resnet-small, \
             separable-small"
        );
    }

    #[test]
    fn both_ways_to_write_a_list_are_read() {
        let tables = "name = 'mine'\n[[layers]]\nlayer = 'conv'\nfilters = 4\nstride = 2\n[[layers]]\nlayer = 'residual'\n\
                      [[layers.body]]\nlayer = 'conv'\nfilters = 4\n[[layers]]\nlayer = 'flatten'\n[[layers]]\nlayer = 'softmax'";
        let list = "layers = [{ layer = 'conv', filters = 4, stride = 2, kernel = 3, padding = 'same' },\n\
                    { layer = 'residual', body = [{ layer = 'conv', filters = 4 }], shortcut = [] },\n\
                    { layer = 'flatten' }, { layer = 'softmax' }]";
        assert_eq!(open(tables), open(list));
        assert_eq!(open(tables).map(|spec| spec.layers.len()), Ok(4));
    }

    #[test]
    fn errors_name_the_line_and_what_to_write() {
        let after = |line: &str| {
            format!(
                "layers = [\n{{ layer = 'conv', filters = 4 }},\n{line},\n{{ layer = 'flatten' }},\n{{ layer = 'softmax' }}]"
            )
        };
        for (text, error) in [
            (
                after("{ layer = 'convolution' }"),
                "a/b.toml, line 3: layer 2: unknown layer `convolution`, expected one of `conv`, `batch_norm`",
            ),
            (
                after("{ layer = 'conv', filtres = 4 }"),
                "line 3: layer 2: unknown key `filtres`, expected one of `filters`, `kernel`",
            ),
            (after("{ layer = 'conv',\n  kernel = 3 }"), "line 3: layer 2: `filters` is missing; write filters = 32"),
            (after("{ filters = 3 }"), "line 3: layer 2: `layer` is missing; write layer = \"conv\""),
            (
                after("{ layer = 'conv', kernel = 3,\n  filters = '4' }"),
                "line 4: layer 2: filters: invalid type: string \"4\", expected a whole number",
            ),
            (
                after("{ layer = 'conv', filters = -4 }"),
                "layer 2: filters: invalid value: integer `-4`, expected a whole number",
            ),
            (
                after("{ layer = 'conv', filters = 4.5 }"),
                "layer 2: filters: invalid type: floating point `4.5`, expected a whole number",
            ),
            (
                after("{ layer = 'conv', filters = 99999999999 }"),
                "layer 2: filters: invalid value: integer `99999999999`",
            ),
            (
                after("{ layer = 'conv', filters = 9999999999999999999999999999999999999999999 }"),
                "layer 2: filters: integer number overflowed",
            ),
            (
                after("{ layer = 'conv', filters = 4, padding = 'full' }"),
                "padding: unknown value `full`, expected `same` or `valid`",
            ),
            (after("{ layer = 'dropout', rate = nan }"), "line 3: layer 2: a dropout rate of NaN"),
            (
                after("{ layer = 'relu', size = 2 }"),
                "line 3: layer 2: unknown key `size`: this layer has none but `layer`",
            ),
            (after("{ layer = 'residual' }"), "`body` is missing; write body = [{ layer"),
            (after("{ layer = 'residual', body = 3 }"), "body: invalid type: integer `3`, expected a list of layers"),
            (
                after("{ layer = 'residual', body = [\n{ layer = 'relu' },\n{ layer = 'max_poll' }] }"),
                "line 5: layer 2, body layer 2: unknown layer `max_poll`",
            ),
            (
                after("{ layer = 'residual', body = [\n{ layer = 'relu' },\n{ layer = 'max_pool' }] }"),
                "line 3: layer 2: the body gives 8 × 8 × 4",
            ),
            (
                after("{ layer = 'residual', body = [\n{ layer = 'relu' },\n{ layer = 'max_pool', size = 20 }] }"),
                "line 5: layer 2, body layer 2: 20×20 does not fit into 16×16 pixels",
            ),
            (
                after("'relu'"),
                "line 3: layer 2: it should be a table, but is of type string; write { layer = \"relu\" }",
            ),
            (after("{ layer = 'softmax' }"), "line 3: layer 2: softmax must be the very last layer"),
            (after("{ layer = 'relu' "), "line 4: missing key for inline table"),
            ("layers = 3".to_owned(), "line 1: the layers are tables; write [[layers]] above each"),
            ("layer = 'conv'".to_owned(), "line 1: unknown key `layer`, expected `name`, `description` or [[layers]]"),
            ("\nclasses = 3".to_owned(), "line 2: a network takes its size from --image-size"),
            ("name = 3".to_owned(), "line 1: name should be a text, but it is of type integer; write name = \"…\""),
            ("name = 'a\\b'".to_owned(), "line 1: a name for the network: it holds a slash"),
            (String::new(), "a/b.toml: it has no layers; write [[layers]]"),
            ("[[layers]]\nlayer = 'relu'".to_owned(), "a/b.toml: the last layer must be softmax"),
        ] {
            let found = open(&text).expect_err(&text);
            assert!(found.contains(error), "{text}\n→ {found}");
        }
    }

    #[test]
    fn files_that_ask_for_too_much_are_refused() {
        for depth in [9, 50, 100_000] {
            let text = |open: &str, close: &str| format!("layers = [{}{}]", open.repeat(depth), close.repeat(depth));
            open(&text("{ layer = 'residual', body = [", "] }")).expect_err("too deep");
            open(&text("[", "]")).expect_err("too deep");
            open(&format!("[[layers{}]]\nlayer = 'relu'", ".body".repeat(depth))).expect_err("too deep");
        }
        let headers: String =
            (1..70).map(|depth| format!("[[layers{}]]\nlayer = 'residual'\n", ".body".repeat(depth - 1))).collect();
        let error = open(&headers).expect_err("too deep");
        assert!(error.contains("8 deep"), "{error}");
        let many = format!(
            "layers = [{}{{ layer = 'flatten' }}, {{ layer = 'softmax' }}]",
            "{ layer = 'relu' },".repeat(40_000)
        );
        assert!(open(&many).expect_err("too many").contains("40002 layers, where 500 is the most"));
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("large.toml");
        std::fs::write(&path, vec![b'#'; 10 << 20]).expect("written");
        let error = Architecture::open(&path.display().to_string()).expect_err("too large").to_string();
        assert!(error.contains("it is larger than 1048576 bytes"), "{error}");
        std::fs::write(&path, b"\xff\xfe").expect("written");
        assert!(
            Architecture::open(&path.display().to_string()).expect_err("no text").to_string().contains("not UTF-8")
        );
        assert!(
            Architecture::open(&folder.path().display().to_string())
                .expect_err("a folder")
                .to_string()
                .contains("it is no file")
        );
    }
}
