//! Which labels are likely wrong, by what networks say that have not learnt from them.

use super::CsvRow;

/// A picture whose label is doubted.
#[derive(Clone, Debug, PartialEq)]
pub struct Suspect {
    /// Its index.
    pub picture: usize,
    /// The class that it is labelled as.
    pub label: usize,
    /// The class that it is rather of.
    pub suggested: usize,
    /// Their probabilities.
    pub probabilities: [f64; 2],
}

impl Suspect {
    /// By how much the suggested class is more probable than the label.
    pub fn margin(&self) -> f64 {
        self.probabilities[1] - self.probabilities[0]
    }
}

/// Confident learning (Northcutt, Jiang, Chuang 2021, section 3.1): a class's threshold is the mean probability that pictures
/// labelled as that class are given for it. A label is doubted if its own probability is below its threshold while another
/// class is above its threshold and more probable; of several the most probable is suggested. The largest margins come first.
///
/// `probabilities`, `[N][classes]`, must come from networks that have not seen the picture in question.
pub fn suspects(labels: &[usize], probabilities: &[Vec<f32>]) -> Vec<Suspect> {
    let classes = probabilities.first().map_or(0, Vec::len);
    let threshold = |class: usize| {
        let own = labels.iter().zip(probabilities).filter(|(label, _)| **label == class);
        let (sum, count) = own.fold((0.0, 0_usize), |(sum, count), (_, row)| (sum + f64::from(row[class]), count + 1));
        // Without a picture there is nothing to be confident of.
        if count > 0 { sum / count as f64 } else { f64::INFINITY }
    };
    let thresholds: Vec<f64> = (0..classes).map(threshold).collect();
    let suspect = |(picture, (label, row)): (usize, (&usize, &Vec<f32>))| {
        let of = |class: usize| f64::from(row[class]);
        let confident = (0..classes).filter(|class| class != label && of(*class) >= thresholds[*class]);
        let suggested = confident.max_by(|a, b| of(*a).total_cmp(&of(*b)))?;
        let doubted = of(*label) < thresholds[*label] && of(*label) < of(suggested);
        doubted.then(|| Suspect { picture, label: *label, suggested, probabilities: [of(*label), of(suggested)] })
    };
    let mut found: Vec<Suspect> = labels.iter().zip(probabilities).enumerate().filter_map(suspect).collect();
    found.sort_by(|a, b| b.margin().total_cmp(&a.margin()));
    found
}

/// `rank,file,label,label_probability,suggested,suggested_probability,margin`.
pub fn suspects_to_csv(suspects: &[Suspect], files: &[String], classes: &[String]) -> String {
    let mut table = "rank,file,label,label_probability,suggested,suggested_probability,margin\n".to_owned();
    for (index, suspect) in suspects.iter().enumerate() {
        let [own, other] = suspect.probabilities;
        let mut row = CsvRow::default();
        row.text(&(index + 1).to_string()).text(&files[suspect.picture]);
        row.text(&classes[suspect.label]).number(own).text(&classes[suspect.suggested]).number(other);
        table += &row.number(suspect.margin()).line();
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_doubted_where_another_class_is_confident_and_the_surest_come_first() {
        // Thresholds: class 0 (0.9 + 0.8 + 0.1) / 3 = 0.6, class 1 (0.9 + 0.3 + 0.45) / 3 = 0.55, class 2 0.8.
        let labels = [0, 0, 0, 1, 1, 1, 2];
        let rows = [
            [0.9, 0.05, 0.05],
            [0.8, 0.1, 0.1],
            // Said to be of class 1.
            [0.1, 0.8, 0.1],
            [0.05, 0.9, 0.05],
            // Said to be of class 0, more surely than class 0 itself is on the average.
            [0.65, 0.3, 0.05],
            // Below its threshold, but no other class is above its own.
            [0.35, 0.45, 0.2],
            [0.1, 0.1, 0.8],
        ];
        let rows: Vec<Vec<f32>> = rows.iter().map(|row| row.to_vec()).collect();
        let found = suspects(&labels, &rows);
        let told: Vec<(usize, usize, usize)> = found.iter().map(|s| (s.picture, s.label, s.suggested)).collect();
        assert_eq!(told, [(2, 0, 1), (4, 1, 0)]);
        assert!((found[0].margin() - 0.7).abs() < 1e-6);
        let files: Vec<String> = (0..7).map(|i| format!("{i},\"x\".png")).collect();
        let table = suspects_to_csv(&found, &files, &["a", "b", "c"].map(String::from));
        assert!(
            table.lines().nth(1).is_some_and(|l| l == "1,\"2,\"\"x\"\".png\",a,0.100000,b,0.800000,0.700000"),
            "{table}"
        );
        assert_eq!(suspects(&[], &[]), []);
    }
}
