//! Rows of comma-separated tables that hold names.

/// One row; names are quoted where they have to be (RFC 4180, section 2).
#[derive(Clone, Debug, Default)]
pub struct CsvRow(Vec<String>);

impl CsvRow {
    /// Adds a name.
    pub fn text(&mut self, text: &str) -> &mut CsvRow {
        let quoted = text.contains([',', '"', '\n', '\r']);
        self.0.push(if quoted { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() });
        self
    }

    /// Adds a number, with six decimals.
    pub fn number(&mut self, number: f64) -> &mut CsvRow {
        self.0.push(format!("{number:.6}"));
        self
    }

    /// The row with its line's end.
    pub fn line(&self) -> String {
        self.0.join(",") + "\n"
    }
}
