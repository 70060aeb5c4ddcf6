//! What the page says in sentences.

use super::percent;
use crate::report::{Calibration, Evaluation, Leakage};

/// How little the number of test pictures says of the accuracy.
pub fn how_little(evaluation: &Evaluation) -> Vec<String> {
    let Evaluation { images, accuracy, accuracy_interval: (low, high), classes, .. } = evaluation;
    let mut sentences = vec![format!(
        "{} of {images} test pictures were answered right. Measured on other pictures of the same kind, the accuracy of {} \
         could as well have been anything from {} to {}.",
        (accuracy * *images as f64).round(),
        percent(accuracy),
        percent(low),
        percent(high),
    )];
    // The difference of two independent shares spreads √2 times as far as each.
    let apart = 100.0 * (high - low) / 2.0 * 2f64.sqrt();
    sentences.push(format!(
        "So another network, measured on as many pictures of its own, would have to differ by about {apart:.0} points \
         before one could call it better or worse. An interval half as wide takes four times as many pictures, about {}.",
        4 * images,
    ));
    if let Some(least) = classes.iter().filter(|c| c.support > 0).min_by_key(|c| c.support) {
        let (low, high) = least.recall_interval;
        sentences.push(format!(
            "There are no more than {} of the class {}, so that its recall of {} could be anything from {} to {}.",
            least.support,
            least.class,
            percent(least.recall),
            percent(low),
            percent(high),
        ));
    }
    for class in classes.iter().filter(|c| c.support == 0) {
        sentences.push(format!("There are no test pictures of the class {}: nothing is known of it.", class.class));
    }
    sentences
}

/// The scores on test pictures that were learnt from too, and on the others.
pub fn leakage_in_words(Leakage { leaked, clean }: &Leakage) -> Vec<String> {
    let score = |e: &Evaluation| {
        let (low, high) = e.accuracy_interval;
        format!("{} (95 % interval {} to {})", percent(e.accuracy), percent(low), percent(high))
    };
    let memory = format!(
        "{} of the {} test pictures stand among the training pictures too. On those the network is right in {}, which measures \
         memory.",
        leaked.images,
        leaked.images + clean.images,
        score(leaked),
    );
    let skill = match clean.images {
        0 => "There are no other test pictures, so nothing here measures skill.".to_owned(),
        others => format!("On the {others} others, which it has never seen, it is right in {}.", score(clean)),
    };
    vec![memory, skill]
}

/// Whether the network's percentages can be believed.
pub fn reliability(calibration: &Calibration, evaluation: &Evaluation) -> String {
    let (mean, most) = calibration.by_chance;
    let chance = format!(
        "A perfectly calibrated network would show {} in the mean on so few pictures, and up to {} by chance alone",
        percent(mean),
        percent(most),
    );
    let verdict = match (calibration.is_off(), calibration.confidence > evaluation.accuracy) {
        (false, _) => "so these pictures do not show that the network's percentages are wrong",
        (true, true) => "this is more: the network is surer than it should be",
        (true, false) => "this is more: the network is less sure than it could be",
    };
    format!(
        "On average the network is {} sure and right in {} of the cases. Expected calibration error: {}. {chance}; {verdict}.",
        percent(calibration.confidence),
        percent(evaluation.accuracy),
        percent(calibration.error),
    )
}

/// Where most of the positive `[H,W]` values lie, a third of the picture in each direction: "in the upper left"; nothing
/// if there are none.
pub fn place(values: &[f64], (height, width): (usize, usize)) -> Option<&'static str> {
    const NAMES: [[&str; 3]; 3] = [
        ["in the upper left", "in the upper middle", "in the upper right"],
        ["on the left", "in the centre", "on the right"],
        ["in the lower left", "in the lower middle", "in the lower right"],
    ];
    let mut sums = [[0.0; 3]; 3];
    for (index, value) in values.iter().enumerate().take(height * width) {
        sums[3 * (index / width) / height][3 * (index % width) / width] += value.max(0.0);
    }
    let cells = (0..9).map(|i| (NAMES[i / 3][i % 3], sums[i / 3][i % 3]));
    cells.max_by(|a, b| a.1.total_cmp(&b.1)).filter(|cell| cell.1 > 0.0).map(|cell| cell.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_the_third_that_holds_most() {
        let mut values = vec![0.0; 6 * 9];
        assert_eq!(place(&values, (6, 9)), None);
        values[5 * 9 + 8] = 1.0;
        values[0] = -9.0;
        assert_eq!(place(&values, (6, 9)), Some("in the lower right"));
        values[2 * 9 + 4] = 2.0;
        assert_eq!(place(&values, (6, 9)), Some("in the centre"));
    }
}
