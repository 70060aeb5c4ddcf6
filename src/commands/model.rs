//! `glowworm model`: a network's layers, sizes and costs, before anything is trained.

use clap::Args;
use serde_json::{Value, json};

use super::CommandError;
use crate::data::check::grouped;
use crate::model::{Architecture, Graph, NetworkSpec, Row, Shape, Shapes};
use crate::names::printable;

/// What Adam keeps of each parameter.
const MOMENTS: u64 = 2;

/// Options of `model`.
#[derive(Args)]
pub struct ModelArgs {
    /// Built-in network, or a TOML file [default: lists the built-in ones]
    #[arg(value_name = "NAME|FILE")]
    model: Option<String>,
    /// Side of the pictures, in pixels
    #[arg(long, value_name = "PIXELS", default_value_t = 64, value_parser = clap::value_parser!(u32).range(8..=4096))]
    image_size: u32,
    /// Classes
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(2..=10_000))]
    classes: u32,
    /// Pictures in a training step
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=65_535))]
    batch_size: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A network with all that can be said of it without a device.
struct Sheet {
    architecture: Architecture,
    spec: NetworkSpec,
    rows: Vec<Row>,
    learned: u64,
    statistics: u64,
    multiply_adds: u64,
    training_bytes: u64,
    largest: (String, u64),
}

impl Sheet {
    fn new(model: &str, args: &ModelArgs) -> Result<Sheet, CommandError> {
        let architecture = Architecture::open(model)?;
        let spec = architecture.network(args.image_size, args.image_size, args.classes)?;
        let shapes = Shapes::new(&spec, args.batch_size)?;
        let Graph { rows, parameters, .. } = &shapes.graph;
        let count = |learned: bool| -> u64 {
            let of_kind = parameters.iter().filter(|parameter| parameter.learned == learned);
            of_kind.map(|parameter| parameter.layout.len() as u64).sum()
        };
        Ok(Sheet {
            learned: count(true),
            statistics: count(false),
            multiply_adds: rows.iter().map(|row| row.multiply_adds).sum(),
            training_bytes: shapes.training_bytes(MOMENTS),
            largest: shapes.tensors(true).into_iter().max_by_key(|(_, bytes)| *bytes).unwrap_or_default(),
            rows: rows.clone(),
            architecture,
            spec,
        })
    }

    fn to_json(&self, args: &ModelArgs) -> Value {
        let rows = self.rows.iter().map(|row| {
            let output = match row.output {
                Shape::Pictures { height, width, channels } => vec![height, width, channels],
                Shape::Rows { area, channels } => vec![area * channels],
            };
            json!({ "name": row.name, "depth": row.depth, "description": row.description, "output": output,
                "parameters": row.parameters, "multiply_adds": row.multiply_adds })
        });
        json!({ "name": self.architecture.name, "description": self.architecture.description,
            "image_size": args.image_size, "classes": self.spec.classes, "layers": rows.collect::<Vec<_>>(),
            "learned_parameters": self.learned, "running_statistics": self.statistics,
            "multiply_adds": self.multiply_adds, "batch_size": args.batch_size, "training_bytes": self.training_bytes,
            "largest_tensor": { "name": self.largest.0, "bytes": self.largest.1 } })
    }

    fn print(&self, batch: u32) {
        let about = self.architecture.description.as_ref().map_or(String::new(), |about| format!(": {about}"));
        println!("{}\n", printable(&format!("{}{about}", self.architecture.name)));
        let mut lines = vec![["layer", "", "output", "parameters", "multiply-adds"].map(str::to_owned)];
        let input = format!("{} × {} × 3", self.spec.height, self.spec.width);
        lines.push(["pictures".to_owned(), String::new(), input, String::new(), String::new()]);
        for row in &self.rows {
            let name = format!("{}{}", "  ".repeat(row.depth), row.name);
            let numbers = [row.parameters, row.multiply_adds].map(|n| if n > 0 { digits(n) } else { String::new() });
            let [parameters, multiply_adds] = numbers;
            lines.push([name, row.description.clone(), row.output.to_string(), parameters, multiply_adds]);
        }
        let parameters = self.learned + self.statistics;
        let total = [digits(parameters), digits(self.multiply_adds)];
        let [parameters, multiply_adds] = total;
        lines.push(["total".to_owned(), "for one picture".to_owned(), String::new(), parameters, multiply_adds]);
        print!("{}", table(&lines));
        let parameters = match self.statistics {
            0 => format!("{} parameters, all learned", digits(self.learned)),
            n => format!("{} parameters are learned; {} are running statistics", digits(self.learned), digits(n)),
        };
        println!("\n{parameters}; a model file has {}", size(4 * (self.learned + self.statistics)));
        println!(
            "training with {batch} pictures at once takes about {} on the device (with Adam, without the pictures);\n\
             its largest tensor is {}, of {}",
            size(self.training_bytes),
            self.largest.0,
            size(self.largest.1),
        );
    }
}

fn digits(number: u64) -> String {
    grouped(usize::try_from(number).unwrap_or(usize::MAX))
}

fn size(bytes: u64) -> String {
    match bytes {
        0..0x10_0000 => format!("{} KiB", bytes.div_ceil(1 << 10)),
        _ => format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)),
    }
}

/// Columns as wide as what is in them, a line below the first and above the last row; numbers to the right.
fn table<const COLUMNS: usize>(lines: &[[String; COLUMNS]]) -> String {
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; COLUMNS] = std::array::from_fn(width);
    let rule = "─".repeat(widths.iter().sum::<usize>() + 2 * (COLUMNS - 1));
    let mut text = String::new();
    for (index, line) in lines.iter().enumerate() {
        if index == 1 || index + 1 == lines.len() {
            text += &format!("{rule}\n");
        }
        let cells = line.iter().zip(widths).enumerate().map(|(column, (cell, width))| match column {
            0..=2 => format!("{cell:width$}"),
            _ => format!("{cell:>width$}"),
        });
        text += cells.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
    }
    text
}

/// Prints the table.
///
/// # Errors
/// [`CommandError`].
pub fn run(args: &ModelArgs) -> Result<(), CommandError> {
    let Some(model) = &args.model else { return list(args) };
    let sheet = Sheet::new(model, args)?;
    match args.json {
        true => println!("{:#}", sheet.to_json(args)),
        false => sheet.print(args.batch_size),
    }
    Ok(())
}

/// The built-in networks in a line each.
fn list(args: &ModelArgs) -> Result<(), CommandError> {
    let sheets = Architecture::names().map(|name| Sheet::new(name, args)).collect::<Result<Vec<_>, _>>()?;
    if args.json {
        println!("{:#}", Value::from(sheets.iter().map(|sheet| sheet.to_json(args)).collect::<Vec<_>>()));
        return Ok(());
    }
    for Sheet { architecture, learned, multiply_adds, .. } in sheets {
        println!("{:16} {}", architecture.name, architecture.description.unwrap_or_default());
        println!("{:16} {} parameters, {} multiply-adds for a picture", "", digits(learned), digits(multiply_adds));
    }
    println!("\nglowworm model NAME shows the layers of one; train --model NAME trains it, and a TOML file likewise");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_whatever_is_in_them() {
        let lines = [["layer", "", "out", "n"], ["conv", "3×3", "1 × 2", "7"], ["total", "", "", "1,000"]];
        let text = table(&lines.map(|line| line.map(str::to_owned)));
        let rule = "─".repeat(24);
        let expected =
            format!("layer       out        n\n{rule}\nconv   3×3  1 × 2      7\n{rule}\ntotal              1,000\n");
        assert_eq!(text, expected);
    }

    #[test]
    fn sizes_are_read_aloud() {
        assert_eq!([1, 2048, 1 << 20, 3 << 19].map(size), ["1 KiB", "2 KiB", "1.0 MiB", "1.5 MiB"]);
    }
}
