//! The same picture twice: copies by their pixels, and near copies.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use rayon::prelude::*;

use super::fingerprint::{Candidate, Hashes, MOST_BITS_WHOLE, SAME};
use super::report::count;
use super::{Finding, Item, Kind, Leaks, Look, Looked, Pair, Severity, Split, Survey};

/// Each picture is compared closely with so many others at most, of the same and of the other class, of the same and of
/// the other split: the frames of a film are alike by the thousand.
const MOST_PARTNERS: usize = 8;

/// Two pictures that show the same.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Match {
    /// Indices of the pictures, the smaller first.
    pub pictures: [usize; 2],
    /// Correlation of their details; none if all of their pixels are equal.
    pub similarity: Option<f32>,
}

/// Everything that stands more than once.
#[derive(Clone, Debug, Default)]
pub(super) struct Duplicates {
    /// Every picture with one that it is the same as.
    pub matches: Vec<Match>,
    /// Training and test pictures that have a copy or a near copy on the other side.
    pub leaks: [BTreeSet<usize>; 2],
    /// Test pictures that are copies to the last pixel.
    pub copied: BTreeSet<usize>,
}

impl Duplicates {
    /// Compares all pictures with each other.
    pub fn find(items: &[Item], looks: &[Looked], progress: &(dyn Fn(usize) + Sync)) -> Duplicates {
        let mut by_pixels: BTreeMap<(u64, (u32, u32)), Vec<usize>> = BTreeMap::new();
        for (index, look) in looks.iter().enumerate() {
            if let Ok(look) = look {
                by_pixels.entry((look.pixels, look.size)).or_default().push(index);
            }
        }
        let mut groups: Vec<Vec<usize>> = by_pixels.into_values().collect();
        groups.sort();
        let mut found = Duplicates::default();
        for group in &groups {
            found.add_copies(items, group);
        }
        let firsts: Vec<(usize, &Look)> =
            groups.iter().filter_map(|group| Some((group[0], looks[group[0]].as_ref().ok()?))).collect();
        let group_of: HashMap<usize, &Vec<usize>> = groups.iter().map(|group| (group[0], group)).collect();
        for (pair, similarity) in near(items, &firsts, progress) {
            found.add_near(items, pair.map(|first| group_of[&first].as_slice()), similarity);
        }
        found.matches.sort_by_key(|m| (m.similarity.is_some(), m.pictures));
        found
    }

    /// A group of equal pictures, training pictures first: each is matched with one of its own class, if there is one.
    fn add_copies(&mut self, items: &[Item], group: &[usize]) {
        let first_of = |class| group.iter().copied().find(|index| items[*index].class == class);
        for &index in &group[1..] {
            let of_class = first_of(items[index].class).filter(|first| *first != index);
            self.matches.push(Match { pictures: [of_class.unwrap_or(group[0]), index], similarity: None });
        }
        self.add_leaks(items, [group, group], true);
    }

    fn add_near(&mut self, items: &[Item], groups: [&[usize]; 2], similarity: f32) {
        // Of two groups of copies, the two members that there is most to say of.
        let pairs = groups[0].iter().flat_map(|a| groups[1].iter().map(move |b| [*a, *b]));
        let telling = |[a, b]: &[usize; 2]| {
            let apart = items[*a].class != items[*b].class;
            (items[*a].split != items[*b].split, apart, Reverse((*a, *b)))
        };
        let Some(mut pictures) = pairs.max_by_key(telling) else { return };
        pictures.sort_unstable();
        self.matches.push(Match { pictures, similarity: Some(similarity) });
        self.add_leaks(items, groups, false);
        self.add_leaks(items, [groups[1], groups[0]], false);
    }

    /// Training pictures of the first and test pictures of the second leak if there are both.
    fn add_leaks(&mut self, items: &[Item], groups: [&[usize]; 2], exact: bool) {
        let of = |group: &[usize], split| -> Vec<usize> {
            group.iter().copied().filter(|index| items[*index].split == split).collect()
        };
        let (train, test) = (of(groups[0], Split::Train), of(groups[1], Split::Test));
        if !train.is_empty() && !test.is_empty() {
            if exact {
                self.copied.extend(&test);
            }
            self.leaks[0].extend(train);
            self.leaks[1].extend(test);
        }
    }
}

impl Duplicates {
    /// The pairs, for people and programs.
    pub fn pairs(&self, survey: &Survey) -> Vec<Pair> {
        let pair = |m: &Match| {
            let [a, b] = m.pictures.map(|index| &survey.items[index]);
            Pair {
                files: [a.name.clone(), b.name.clone()],
                similarity: m.similarity,
                leak: a.split != b.split,
                conflict: a.class != b.class,
            }
        };
        self.matches.iter().map(pair).collect()
    }

    /// The files that leak.
    pub fn leaks(&self, survey: &Survey) -> Leaks {
        let names = |indices: &BTreeSet<usize>| indices.iter().map(|index| survey.items[*index].name.clone()).collect();
        Leaks { train: names(&self.leaks[0]), test: names(&self.leaks[1]) }
    }

    /// In sentences.
    pub fn findings(&self, survey: &Survey) -> Vec<Finding> {
        let mut found = Vec::new();
        let mut say =
            |kind, severity, text: String, advice: &str| found.push(Finding::new(kind, severity, text, advice));
        let tested = survey.items.iter().filter(|item| item.split == Split::Test).count();
        let leaked = self.leaks[1].len();
        if leaked > 0 {
            let (stand, exactly) = match (leaked, self.copied.len()) {
                (1, _) => ("stands", String::new()),
                (all, exact) if all == exact => ("stand", ", copied to the last pixel".to_owned()),
                (_, 0) => ("stand", ", as near copies".to_owned()),
                (all, exact) => ("stand", format!(", {exact} copied to the last pixel and {} nearly so", all - exact)),
            };
            let text = format!(
                "{leaked} of {} {stand} among the training pictures too{exactly}: on them a score measures memory, not skill",
                count(tested, "test picture"),
            );
            let advice = "train --exclude-leaks test-wins leaves the training copies out, for an honest score";
            say(Kind::Leak, Severity::Warning, text, advice);
        }
        let pairs = self.pairs(survey);
        let conflicts = pairs.iter().filter(|pair| pair.conflict).count();
        if conflicts > 0 {
            let text = format!("{} in two classes: one of the labels must be wrong", count(conflicts, "picture"));
            say(
                Kind::Conflict,
                Severity::Warning,
                text,
                "decide which, and remove the other (or name it in --exclude-list)",
            );
        }
        let repeats = pairs.iter().filter(|pair| pair.is(Kind::Repeat)).count();
        if repeats > 0 {
            let text = match repeats {
                1 => "1 picture repeats another of its class, exactly or nearly".to_owned(),
                n => format!("{n} pictures repeat others of their class, exactly or nearly"),
            };
            let advice = match tested {
                0 => "when some are split off for testing, copies fall on both sides: train --exclude-leaks test-wins",
                _ => "",
            };
            say(Kind::Repeat, Severity::Note, text, advice);
        }
        found
    }
}

/// Pairs that are nearly the same, with their similarity, in order.
fn near(items: &[Item], pictures: &[(usize, &Look)], progress: &(dyn Fn(usize) + Sync)) -> Vec<([usize; 2], f32)> {
    let done = std::sync::atomic::AtomicUsize::new(0);
    let hashes = Hashes::new(pictures.iter().map(|(_, look)| &look.fingerprint));
    let partners = |(place, &(index, look)): (usize, &(usize, &Look))| {
        let mut kinds: [Vec<(Candidate, usize)>; 4] = Default::default();
        for (&(other, other_look), apart) in pictures.iter().zip(hashes.apart(place)) {
            if apart > MOST_BITS_WHOLE {
                continue;
            }
            // In the order of their indices, so that both sides of a pair come to the same candidate.
            let candidate = match index.cmp(&other) {
                std::cmp::Ordering::Less => look.fingerprint.candidate(&other_look.fingerprint),
                std::cmp::Ordering::Greater => other_look.fingerprint.candidate(&look.fingerprint),
                std::cmp::Ordering::Equal => None,
            };
            if let Some(candidate) = candidate {
                let (a, b) = (&items[index], &items[other]);
                let kind = &mut kinds[2 * usize::from(a.split != b.split) + usize::from(a.class != b.class)];
                kind.push((candidate, other));
                if kind.len() >= 4 * MOST_PARTNERS {
                    closest(kind);
                }
            }
        }
        kinds.iter_mut().for_each(closest);
        progress(done.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1);
        kinds.into_iter().flatten().map(|(c, other)| ([index.min(other), index.max(other)], c)).collect::<Vec<_>>()
    };
    let candidates: BTreeMap<[usize; 2], Candidate> =
        pictures.par_iter().enumerate().map(partners).collect::<Vec<_>>().into_iter().flatten().collect();
    let looks: HashMap<usize, &Look> = pictures.iter().copied().collect();
    let compare = |(pair, candidate): (&[usize; 2], &Candidate)| {
        let [a, b] = pair.map(|index| &looks[&index].fingerprint);
        let similarity = a.similarity(b, *candidate);
        (similarity >= SAME).then_some((*pair, similarity))
    };
    candidates.par_iter().filter_map(compare).collect()
}

fn closest(candidates: &mut Vec<(Candidate, usize)>) {
    candidates.sort_by_key(|(candidate, other)| (candidate.bits, *other));
    candidates.truncate(MOST_PARTNERS);
}
