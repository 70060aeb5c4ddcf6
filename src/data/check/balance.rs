//! How many pictures the classes have.

use super::report::count;
use super::{ClassCount, Finding, Kind, NamedFile, Severity, Survey};

/// Fewer pictures to learn from than these are hardly enough to tell anything by.
const FEW: usize = 10;
/// The largest class over the smallest: from here on it is worth a note, and a warning.
const UNEVEN: (usize, usize) = (3, 10);

/// Findings about whole classes.
pub(super) fn findings(survey: &Survey) -> Vec<Finding> {
    let counts = survey.counts();
    let mut found = Vec::new();
    let mut say = |kind, severity, text: String, advice: &str| found.push(Finding::new(kind, severity, text, advice));
    let parted = counts.iter().any(|c| c.test > 0);
    match &counts[..] {
        [] => {
            let advice =
                "to learn, put the pictures of each class into a folder of its own: <class>/ or train/<class>/";
            say(Kind::Classes, Severity::Warning, "there are no class folders".to_owned(), advice);
        }
        [only] => {
            let text = format!("there is a single class, \"{}\"", only.class);
            say(Kind::Classes, Severity::Warning, text, "at least two are needed to tell anything apart");
        }
        _ => {}
    }
    for c in counts.iter().filter(|c| c.train + c.test == 0) {
        let text = format!("the class \"{}\" has no pictures", c.class);
        say(Kind::Classes, Severity::Warning, text, "remove its folder, or add some");
    }
    for (index, c) in counts.iter().enumerate() {
        let alike = |name: &str| name.trim().to_lowercase();
        if let Some(twin) = counts[..index].iter().find(|other| alike(&other.class) == alike(&c.class)) {
            let text = format!("the classes \"{}\" and \"{}\" have nearly the same name", twin.class, c.class);
            say(Kind::Classes, Severity::Warning, text, "if they are one class, put their pictures into one folder");
        }
    }
    for c in counts.iter().filter(|c| c.train == 0 && c.test > 0) {
        let text = format!("the class \"{}\" has test pictures, but none to learn from", c.class);
        say(Kind::OneSplit, Severity::Warning, text, "a network cannot learn what it never sees");
    }
    for c in counts.iter().filter(|c| parted && c.test == 0 && c.train > 0) {
        let text = format!("the class \"{}\" has no test pictures", c.class);
        say(Kind::OneSplit, Severity::Warning, text, "nobody will know how well it is recognised");
    }
    let learnt: Vec<&ClassCount> = counts.iter().filter(|c| c.train > 0).collect();
    let small: Vec<&&ClassCount> = learnt.iter().filter(|c| c.train < FEW).collect();
    if !small.is_empty() {
        let text = match small.len() {
            1 => format!("1 class has fewer than {FEW} pictures to learn from"),
            n => format!("{n} classes have fewer than {FEW} pictures to learn from"),
        };
        let finding = Finding::new(Kind::SmallClass, Severity::Warning, text, "add pictures, or leave the class out");
        let file = |c: &&&ClassCount| NamedFile { file: c.class.clone(), note: Some(count(c.train, "picture")) };
        found.push(Finding { files: small.iter().map(file).collect(), ..finding });
    }
    found.extend(imbalance(&learnt));
    found
}

fn imbalance(learnt: &[&ClassCount]) -> Option<Finding> {
    let largest = learnt.iter().max_by_key(|c| c.train)?;
    let smallest = learnt.iter().min_by_key(|c| c.train)?;
    if learnt.len() < 2 || largest.train < UNEVEN.0 * smallest.train {
        return None;
    }
    let severity = if largest.train < UNEVEN.1 * smallest.train { Severity::Note } else { Severity::Warning };
    let total: usize = learnt.iter().map(|c| c.train).sum();
    let text = format!(
        "the largest class, \"{}\" with {}, is {:.0} times the smallest, \"{}\" with {}: always answering \"{}\" would be \
         right on {:.0} % of such pictures",
        largest.class,
        largest.train,
        largest.train as f64 / smallest.train as f64,
        smallest.class,
        smallest.train,
        largest.class,
        100.0 * largest.train as f64 / total as f64,
    );
    Some(Finding::new(Kind::Imbalance, severity, text, "look at each class's recall, not at the accuracy alone"))
}
