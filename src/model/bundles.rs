//! How the parameters of a network lie on the device: bundled, one behind the other in a few large buffers. What is done alike
//! to all of them, such as the optimiser's step, is then one dispatch, and not one for each.

use std::ops::Range;

use super::slabs::Slab;
use super::spec::ParameterSpec;
use super::{ModelError, Network, Purpose};
use crate::gpu::{Buffer, Gpu};
use crate::kernels::optimizer::Parameter;

/// Bytes of a bundle at most, unless a single parameter has more: a memory that is nearly full has room for pieces.
const MOST: u64 = 32 << 20;
/// Where any adapter lets a binding begin.
const ALIGNED: u64 = 256;

/// What is done to the parameters of a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// The optimiser takes its step over them once all gradients are there.
    Learned,
    /// It takes its steps [`in slabs`](super::slabs), from gradients that are never there as a whole.
    InSlabs,
    /// Nothing: running statistics.
    Statistics,
}

/// Parameters, and what training keeps beside them, all in the same places of their buffers. Between them are zeros, which
/// every step leaves zeros.
pub(super) struct Bundle {
    pub(super) weights: Buffer,
    pub(super) gradient: Option<Buffer>,
    /// Sum of the gradients of a batch's parts, where batches are worked on in parts.
    pub(super) total: Option<Buffer>,
    pub(super) first: Option<Buffer>,
    pub(super) second: Option<Buffer>,
    /// The weights' moving average, where one is kept.
    pub(super) average: Option<Buffer>,
}

/// Where a parameter lies: in which bundle, and its bytes there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) bundle: usize,
    pub(super) bytes: Range<u64>,
}

impl Place {
    /// A parameter's own part of a buffer of its bundle.
    pub(super) fn of(&self, whole: &Buffer) -> Buffer {
        whole.part(self.bytes.start, self.bytes.end - self.bytes.start)
    }
}

/// The places of parameters, and kind and bytes of each bundle. In a bundle, those that decay come first; and since the kernels
/// are in the order of the layers and all others in the opposite order, what is left to learn when the first layers are frozen
/// lies together in the middle.
fn bundled(
    parameters: &[ParameterSpec],
    kind: impl Fn(&ParameterSpec) -> Kind,
    most: u64,
) -> (Vec<Place>, Vec<(Kind, u64)>) {
    let mut order: Vec<usize> = (0..parameters.len()).collect();
    order.sort_by_key(|&index| {
        let parameter = &parameters[index];
        let decays = parameter.layout.decays();
        (kind(parameter), if decays { index } else { 2 * parameters.len() - index })
    });
    let mut places = vec![Place { bundle: 0, bytes: 0..0 }; parameters.len()];
    let mut bundles: Vec<(Kind, u64)> = Vec::new();
    for index in order {
        let (kind, bytes) = (kind(&parameters[index]), parameters[index].layout.device_bytes());
        let begins = |(of, end): &(Kind, u64)| {
            let begin = end.next_multiple_of(ALIGNED);
            (*of == kind && begin + bytes <= most).then_some(begin)
        };
        let begin = bundles.last().and_then(begins).unwrap_or_else(|| {
            bundles.push((kind, 0));
            0
        });
        let bundle = bundles.len() - 1;
        bundles[bundle].1 = begin + bytes;
        places[index] = Place { bundle, bytes: begin..begin + bytes };
    }
    (places, bundles)
}

impl Bundle {
    /// Lays out the parameters of a network.
    pub(super) fn all(
        gpu: &Gpu,
        parameters: &[ParameterSpec],
        purpose: Purpose,
        in_slabs: bool,
    ) -> Result<(Vec<Place>, Vec<Bundle>), ModelError> {
        let kind = |parameter: &ParameterSpec| match Slab::of(parameter.layout) {
            _ if !parameter.learned => Kind::Statistics,
            Some(_) if in_slabs => Kind::InSlabs,
            _ => Kind::Learned,
        };
        let rule = if let Purpose::Train(rule, _) = purpose { Some(rule) } else { None };
        let (first, second) = rule.map_or((false, false), |rule| rule.states());
        let (places, bundles) = bundled(parameters, kind, MOST.min(gpu.max_tensor_bytes()));
        let bundles = bundles.into_iter().map(|(kind, bytes)| {
            let when = |needed: bool, label: &str| needed.then(|| gpu.buffer(label, bytes)).transpose();
            Ok(Bundle {
                weights: gpu.buffer("weights", bytes)?,
                gradient: when(rule.is_some() && kind == Kind::Learned, "gradients")?,
                total: None,
                first: when(first && kind != Kind::Statistics, "first moments")?,
                second: when(second && kind != Kind::Statistics, "second moments")?,
                average: None,
            })
        });
        Ok((places, bundles.collect::<Result<_, ModelError>>()?))
    }

    /// What the optimiser takes its step over: these parts of all buffers, with this gradient.
    pub(super) fn parameter(&self, gradient: Buffer, of: impl Fn(&Buffer) -> Buffer) -> Parameter {
        let [first, second] = [&self.first, &self.second].map(|state| state.as_ref().map(&of));
        Parameter { weights: of(&self.weights), gradient, first, second }
    }
}

/// What learns of a bundle.
pub(super) struct Learning<'a> {
    pub(super) bundle: &'a Bundle,
    bytes: Range<u64>,
    /// So many bytes, the first, are shrunk by weight decay.
    pub(super) decaying: u64,
}

impl Learning<'_> {
    /// Its part of a buffer of the bundle.
    pub(super) fn of(&self, whole: &Buffer) -> Buffer {
        whole.part(self.bytes.start, self.bytes.end - self.bytes.start)
    }
}

impl Network {
    /// What is not frozen of each bundle.
    pub(super) fn learning(&self) -> impl Iterator<Item = Learning<'_>> {
        self.bundles.iter().enumerate().filter_map(|(index, bundle)| {
            let places = self.learned[self.frozen..].iter().filter(move |learned| learned.place.bundle == index);
            let begin = places.clone().map(|learned| learned.place.bytes.start).min()?;
            let end = places.clone().map(|learned| learned.place.bytes.end).max()?;
            let decaying =
                places.filter(|learned| learned.layout.decays()).map(|learned| learned.place.bytes.end).max();
            Some(Learning { bundle, bytes: begin..end, decaying: decaying.map_or(0, |end| end - begin) })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::NetworkSpec;

    fn kind(parameter: &ParameterSpec) -> Kind {
        if parameter.learned { Kind::Learned } else { Kind::Statistics }
    }

    #[test]
    fn whatever_is_frozen_the_others_lie_together_and_what_decays_comes_first() {
        for name in ["reference", "resnet-small"] {
            let parameters = NetworkSpec::builtin(name, 16, 16, 3).expect("built in").parameters();
            for most in [1, 4096, 1 << 30] {
                let (places, bundles) = bundled(&parameters, kind, most);
                for (bundle, frozen) in (0..bundles.len()).flat_map(|b| (0..parameters.len()).map(move |f| (b, f))) {
                    let all = parameters.iter().zip(&places).enumerate();
                    let mut those: Vec<_> = all.filter(|(_, (_, place))| place.bundle == bundle).collect();
                    those.sort_by_key(|(_, (_, place))| place.bytes.start);
                    let decays = those.iter().map(|(_, (parameter, _))| parameter.layout.decays());
                    assert!(decays.is_sorted_by(|a, b| a >= b), "{name}, {most}: bundle {bundle}");
                    let learns: Vec<bool> = those.iter().map(|(index, _)| *index >= frozen).collect();
                    let together = learns.split(|learns| !learns).filter(|some| !some.is_empty()).count();
                    assert!(together <= 1, "{name}, {most}: {learns:?}");
                    for pair in those.windows(2) {
                        let (before, behind) = (pair[0].1.1, pair[1].1.1);
                        assert_eq!(behind.bytes.start, before.bytes.end.next_multiple_of(ALIGNED));
                    }
                }
            }
        }
    }

    #[test]
    fn a_bundle_is_all_of_a_kind_and_no_larger_than_asked_unless_for_a_single_one() {
        let parameters = NetworkSpec::builtin("resnet-small", 16, 16, 3).expect("built in").parameters();
        assert_eq!(bundled(&parameters, kind, MOST).1.len(), 2, "learned, and statistics");
        let (places, bundles) = bundled(&parameters, kind, 4096);
        for (index, (of, bytes)) in bundles.iter().enumerate() {
            let those = parameters.iter().zip(&places).filter(|(_, place)| place.bundle == index);
            assert!(those.clone().all(|(parameter, _)| kind(parameter) == *of));
            assert!(*bytes <= 4096 || those.count() == 1, "{bytes}");
        }
    }
}
