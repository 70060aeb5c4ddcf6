//! Folds of a cross-validation: parts of the training pictures that are held out in turn.

use std::collections::HashMap;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::DataError;
use super::check::Pair;

/// Numbers the pictures, `[N]`, by what they show: those that are copies or near copies of each other, directly or by way
/// of others, have the same number. `pairs` may name pictures that are not among `files`.
pub fn groups(files: &[String], pairs: &[Pair]) -> Vec<usize> {
    let mut numbers: HashMap<&str, usize> = HashMap::new();
    for file in files.iter().chain(pairs.iter().flat_map(|pair| &pair.files)) {
        let next = numbers.len();
        numbers.entry(file).or_insert(next);
    }
    // Each points to another of its group, the first to itself.
    let mut parents: Vec<usize> = (0..numbers.len()).collect();
    let first = |parents: &[usize], mut at: usize| {
        while parents[at] != at {
            at = parents[at];
        }
        at
    };
    for pair in pairs {
        let [a, b] = [0, 1].map(|side| first(&parents, numbers[pair.files[side].as_str()]));
        parents[a.max(b)] = a.min(b);
    }
    files.iter().map(|file| first(&parents, numbers[file.as_str()])).collect()
}

/// The fold, from 0, in which each picture is held out, `[N]`. Groups stay together; every class is spread over the folds as
/// evenly as its groups allow, and so are all pictures. The same seed gives the same folds.
///
/// # Errors
/// [`DataError::TooFewForFolds`] for a class with fewer groups than folds: some fold could not be measured on it.
pub fn folds(
    classes: &[String],
    labels: &[u32],
    groups: &[usize],
    count: usize,
    seed: u64,
) -> Result<Vec<usize>, DataError> {
    let mut members: HashMap<usize, Vec<usize>> = HashMap::new();
    groups.iter().enumerate().for_each(|(picture, group)| members.entry(*group).or_default().push(picture));
    let mut members: Vec<Vec<usize>> = members.into_values().collect();
    members.sort();
    for (class, name) in classes.iter().enumerate() {
        let has_class = |group: &&Vec<usize>| group.iter().any(|picture| labels[*picture] as usize == class);
        let different = members.iter().filter(has_class).count();
        if different < count {
            return Err(DataError::TooFewForFolds { class: name.clone(), different, folds: count });
        }
    }
    members.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    // Large groups first, while there is still something to balance them with.
    members.sort_by_key(|group| std::cmp::Reverse(group.len()));
    let mut held_out = vec![vec![0_usize; classes.len()]; count];
    let mut fold_of = vec![0; labels.len()];
    for group in members {
        let of_its_classes = |fold: &usize| group.iter().map(|p| held_out[*fold][labels[*p] as usize]).sum::<usize>();
        let all = |fold: &usize| held_out[*fold].iter().sum::<usize>();
        let fold = (0..count).min_by_key(|fold| (of_its_classes(fold), all(fold))).unwrap_or(0);
        for picture in group {
            fold_of[picture] = fold;
            held_out[fold][labels[picture] as usize] += 1;
        }
    }
    Ok(fold_of)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|i| i.to_string()).collect()
    }

    fn pair(a: usize, b: usize) -> Pair {
        Pair { files: [a.to_string(), b.to_string()], similarity: None, leak: false, conflict: false }
    }

    /// How many pictures of each class each fold holds out.
    fn counts(folds: &[usize], labels: &[u32], count: usize, classes: usize) -> Vec<Vec<usize>> {
        let held_out = |fold, class| (0..labels.len()).filter(|i| folds[*i] == fold && labels[*i] == class).count();
        (0..count).map(|fold| (0..classes as u32).map(|class| held_out(fold, class)).collect()).collect()
    }

    #[test]
    fn every_class_is_spread_evenly_and_every_picture_held_out_once() {
        // 23, 14 and 30 pictures.
        let labels: Vec<u32> = (0..67).map(|i| if i < 23 { 0 } else { u32::from(i >= 37) + 1 }).collect();
        let single: Vec<usize> = (0..67).collect();
        for (count, seed) in [(2, 1), (5, 1), (5, 2), (14, 3)] {
            let found = folds(&names(3), &labels, &single, count, seed).expect("enough");
            let held_out = counts(&found, &labels, count, 3);
            for class in 0..3 {
                let of_class = held_out.iter().map(|fold| fold[class]);
                assert!(of_class.clone().max() <= of_class.min().map(|least| least + 1), "{held_out:?}");
            }
            let sizes = held_out.iter().map(|fold| fold.iter().sum::<usize>());
            assert!(sizes.clone().max() <= sizes.min().map(|least| least + 2), "{held_out:?}");
            assert_eq!(found, folds(&names(3), &labels, &single, count, seed).expect("enough"));
        }
        let of_seed = |seed| folds(&names(3), &labels, &single, 5, seed).expect("enough");
        assert_ne!(of_seed(1), of_seed(2));
    }

    #[test]
    fn copies_stay_together_also_by_way_of_others_and_classes_stay_even() {
        let labels: Vec<u32> = (0..60).map(|i| u32::from(i >= 30)).collect();
        let mut pairs: Vec<Pair> = (0..9).map(|i| pair(i, i + 1)).collect();
        // A picture in two classes, and two training pictures that one outside has brought together.
        pairs.extend([pair(20, 50), pair(11, 100), pair(100, 31)]);
        let grouped = groups(&names(60), &pairs);
        assert!(grouped[..10].iter().all(|group| *group == grouped[0]));
        assert_eq!((grouped[20], grouped[11]), (grouped[50], grouped[31]));
        assert_eq!(grouped.iter().collect::<std::collections::BTreeSet<_>>().len(), 60 - 9 - 2);
        let found = folds(&names(2), &labels, &grouped, 3, 7).expect("enough");
        for pair in &pairs[..10] {
            let [a, b] = [0, 1].map(|side| pair.files[side].parse::<usize>().expect("a number"));
            assert_eq!(found[a], found[b]);
        }
        assert_eq!(found[11], found[31]);
        for fold in counts(&found, &labels, 3, 2) {
            fold.iter().for_each(|count| assert!((8..=12).contains(count), "{fold:?}"));
        }
    }

    #[test]
    fn a_class_of_fewer_different_pictures_than_folds_is_refused() {
        let labels = [0, 0, 0, 0, 1, 1, 1, 1];
        let grouped = groups(&names(8), &[pair(4, 5)]);
        assert!(folds(&names(2), &labels, &grouped, 3, 1).is_ok());
        let error = folds(&names(2), &labels, &grouped, 4, 1).expect_err("three are different").to_string();
        assert!(error.contains("\"1\"") && error.contains("3 different") && error.contains("--folds 3"), "{error}");
    }
}
