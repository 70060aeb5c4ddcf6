//! What the rows of a part of a batch are made of: which pictures, how they are changed, and what they should be taken for.

use std::ops::Range;

use super::Images;
use super::augmentation::{Augmentation, Mixture};
use crate::kernels::augment::{Look, Sample, Varied};
use crate::kernels::softmax::Label;

/// A batch within its epoch.
pub struct Batch<'a> {
    /// Place of its first picture in the epoch.
    pub first: usize,
    /// Its pictures.
    pub pictures: &'a [usize],
}

impl Batch<'_> {
    /// The classes of a part's pictures.
    pub fn labels(&self, part: Range<usize>, images: &Images) -> Vec<u32> {
        self.pictures[part].iter().map(|&picture| images.labels()[picture]).collect()
    }

    /// Makes the pictures of a part reachable, and says how each is moved about.
    pub fn samples(&self, part: Range<usize>, images: &mut Images, augmentation: &Augmentation) -> Vec<Sample> {
        self.looks(part, &[], images, augmentation).into_iter().map(|look| look.sample).collect()
    }

    /// Makes the pictures of a part reachable, and those of the whole batch that are mixed into them; says how each row is
    /// made and what it should be taken for. A partner looks as it does in its own place, which may be in another part.
    pub fn varied(
        &self,
        part: Range<usize>,
        images: &mut Images,
        augmentation: &Augmentation,
    ) -> (Vec<Varied>, Vec<Label>) {
        let batch = (self.first, self.pictures.len());
        let mixtures: Vec<Option<Mixture>> =
            part.clone().map(|at| augmentation.mixture(self.first + at, batch)).collect();
        let partners: Vec<usize> = mixtures.iter().flatten().map(|mixture| mixture.partner).collect();
        let looks = self.looks(part.clone(), &partners, images, augmentation);
        let (firsts, seconds) = looks.split_at(part.len());
        let mut seconds = seconds.iter();
        let label = |at: usize| images.labels()[self.pictures[at]];
        let rows = part.zip(firsts).zip(&mixtures).map(|((at, &first), mixture)| {
            let alone = Label::from(label(at));
            match mixture.as_ref().and_then(|mixture| Some((mixture, seconds.next()?))) {
                None => (Varied::alone(first), alone),
                Some((&Mixture { partner, weight, pasted, share }, &second)) => {
                    (Varied { first, second, weight, pasted }, Label { second: label(partner), share, ..alone })
                }
            }
        });
        rows.unzip()
    }

    /// How the pictures of a part, and then `more` of the batch, are to be seen.
    fn looks(&self, part: Range<usize>, more: &[usize], images: &mut Images, augmentation: &Augmentation) -> Vec<Look> {
        let all: Vec<usize> = part.chain(more.iter().copied()).collect();
        let numbers = images.stage(&all.iter().map(|&at| self.pictures[at]).collect::<Vec<_>>());
        all.into_iter().zip(numbers).map(|(at, number)| augmentation.look(self.first + at, number)).collect()
    }
}
